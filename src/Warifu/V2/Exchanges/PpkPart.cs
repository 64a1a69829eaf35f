using System;
using System.Linq;
using System.Text;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>SK_d, SK_pi and SK_pr with a post-quantum pre-shared key mixed in (RFC 8784 section 3), until both sides agree to use them.</summary>
internal sealed record MixedKeys(Secret SkD, Secret SkPi, Secret SkPr) : IDisposable
{
    public void Dispose()
    {
        SkD.Dispose();
        SkPi.Dispose();
        SkPr.Dispose();
    }
}

/// <summary>USE_PPK (RFC 8784 section 3), and how the keys are mixed.</summary>
internal sealed class PpkPart : InitPart
{
    private const byte Opaque = 1, Fixed = 2;

    public override void WriteRequest(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Connection.PpkId is not null) builder.Notify(NotifyType.UsePpk);
    }

    public override void ReadRequest(IkeSa sa, scoped in MessageView view) => sa.Handshake!.PeerUsesPpk = view.HasNotify(NotifyType.UsePpk);

    public override void WriteResponse(IkeSa sa, MessageBuilder builder)
    {
        if (!sa.Handshake!.PeerUsesPpk || !HasAny(sa)) return;
        sa.Handshake.PpkAgreed = true;
        builder.Notify(NotifyType.UsePpk);
    }

    public override void ReadResponse(IkeSa sa, scoped in MessageView view)
    {
        sa.Handshake!.PeerUsesPpk = view.HasNotify(NotifyType.UsePpk);
        sa.Handshake.PpkAgreed = sa.Handshake.PeerUsesPpk && sa.Connection.PpkId is not null;
    }

    public override int ResponseLength(Connection connection, scoped in MessageView request) => request.HasNotify(NotifyType.UsePpk) ? 8 : 0;

    /// <summary>The initiator, before IKE_AUTH: mixes the keys when both want a PPK.</summary>
    public static void Prepare(IkeSa sa, Action then)
    {
        var connection = sa.Connection;
        if (!sa.Handshake!.PpkAgreed || connection.PpkId is not { } id)
        {
            if (connection.PpkRequired) Lifetimes.Fail(sa, connection.PpkId is null ? NotNamed(sa) : NotOffered(sa));
            else then();
            return;
        }

        Mix(sa, id, mixed =>
        {
            if (mixed)
            {
                then();
                return;
            }

            // the peer expects a PPK_IDENTITY now: without one it must refuse (RFC 8784 section 3)
            Lifetimes.Fail(sa, NotHere(sa, id));
        });
    }

    /// <summary>PPK_IDENTITY of the initiator (RFC 8784 section 5.1).</summary>
    public static void WriteIdentity(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Handshake!.Mixed is not null) builder.Notify(NotifyType.PpkIdentity, [Fixed, .. sa.Connection.PpkId!.Data]);
    }

    /// <summary>The initiator: what the responder made of our PPK_IDENTITY. Null when all is well.</summary>
    public static NegotiationFailure? ReadAnswer(IkeSa sa, scoped in MessageView view)
    {
        var handshake = sa.Handshake!;
        if (handshake.Mixed is not { } mixed) return null;
        handshake.Mixed = null;
        if (view.HasNotify(NotifyType.PpkIdentity))
        {
            sa.AdoptPpk(mixed);
            return null;
        }

        mixed.Dispose();
        return sa.Connection.PpkRequired ? NotUsed(sa) : null;
    }

    /// <summary>The responder, once it knows the connection (table 1 of RFC 8784 section 3). Continues with null, and the keys and the proof to check in place; or with the failure.</summary>
    public static void Judge(IkeSa sa, PeerProof proof, KeptMessage request, Action<NegotiationFailure?> then)
    {
        var (connection, handshake) = (sa.Connection, sa.Handshake!);
        if (!handshake.PpkAgreed)
        {
            then(connection.PpkRequired ? NotOffered(sa) : null);
            return;
        }

        if (!request.View.TryGetNotify(NotifyType.PpkIdentity, out var notify) || notify.Data.Length < 2 || notify.Data[0] is not (Opaque or Fixed))
        {
            then(new NegotiationFailure("ppk", "the peer announced a post-quantum pre-shared key and then named none (PPK_IDENTITY)", [], [], [], "at the peer: set its ppk_id"));
            return;
        }

        var id = IdentityOf(notify.Data[1..]);
        var without = request.View.TryGetNotify(NotifyType.NoPpkAuth, out var other) ? other.Data.ToArray() : [];
        Mix(sa, id, mixed =>
        {
            if (mixed)
            {
                handshake.PpkUsed = true;
                sa.AdoptPpk(handshake.Mixed!);
                handshake.Mixed = null;
                then(null);
                return;
            }

            if (connection.PpkRequired || without.Length == 0)
            {
                then(NotHere(sa, id));
                return;
            }

            proof.Data = without;
            sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"no post-quantum pre-shared key {Identities.Print(id)} here: going on without, as both sides allow");
            then(null);
        });
    }

    /// <summary>There is a PPK, or a connection that would not do without: then the peer is told at once.</summary>
    private static bool HasAny(IkeSa sa) => sa.Engine.HasPpks || sa.Connection.PpkRequired || sa.Connection.PpkId is not null;

    private static void Mix(IkeSa sa, Identity id, Action<bool> then) =>
        sa.Engine.Ask(sa, new Ask.FindPpk(id), found =>
        {
            if (found is not Answer.SecretHandle { Secret.IsNone: false } handle)
            {
                then(false);
                return;
            }

            var keys = sa.Keys!;
            sa.Engine.Ask(sa, new Ask.PpkMix(handle.Secret, keys.Prf, keys.SkD.Clone(), keys.SkPi.Clone(), keys.SkPr.Clone()), answer =>
            {
                if (answer is Answer.MixedKeys mixed && sa.Handshake is { } handshake) handshake.Mixed = new MixedKeys(mixed.SkD, mixed.SkPi, mixed.SkPr);
                then(answer is Answer.MixedKeys);
            });
        });

    /// <summary>Read like the text of a configuration, as far as it is text.</summary>
    private static Identity IdentityOf(ReadOnlySpan<byte> data)
    {
        if (data.ContainsAnyExceptInRange((byte)' ', (byte)'~') || data.Length > 256) return Identity.KeyId(data);
        return Identities.TryParse(Encoding.ASCII.GetString(data), out var identity, out _) && identity.Data.AsSpan().SequenceEqual(data) ? identity : Identity.KeyId(data);
    }

    /// <summary>We required one and could not offer it: without a name there is none to offer.</summary>
    private static NegotiationFailure NotNamed(IkeSa sa) => new(
        "ppk",
        $"connection {sa.Connection.Name} requires a post-quantum pre-shared key, and does not say which one we use as initiator",
        [],
        [],
        [],
        $"here: set connections.{sa.Connection.Name}.ppk_id to the name of the key, or ppk_required = no");

    private static NegotiationFailure NotOffered(IkeSa sa) => new(
        "ppk",
        $"connection {sa.Connection.Name} requires a post-quantum pre-shared key, and the peer did not offer to use one (USE_PPK)",
        [],
        [],
        [],
        $"at the peer: configure the post-quantum pre-shared key{(sa.Initiator ? $" {Identities.Print(sa.Connection.PpkId)}" : " and its ppk_id")}; or here: set connections.{sa.Connection.Name}.ppk_required = no");

    private static NegotiationFailure NotHere(IkeSa sa, Identity id) => new(
        "ppk",
        $"there is no post-quantum pre-shared key {Identities.Print(id)} here",
        [Identities.Print(id)],
        [],
        [],
        $"here: add secrets.ppk-NAME {{ secret = …  id = {Identities.Print(id)} }}{(sa.Initiator ? $", or remove connections.{sa.Connection.Name}.ppk_id" : "; or at the peer: set its ppk_id to one that is known here")}");

    private static NegotiationFailure NotUsed(IkeSa sa) => new(
        "ppk",
        $"the peer did not use the post-quantum pre-shared key {Identities.Print(sa.Connection.PpkId)}, which connection {sa.Connection.Name} requires",
        [],
        [],
        [],
        $"at the peer: add the post-quantum pre-shared key {Identities.Print(sa.Connection.PpkId)}; or here: set connections.{sa.Connection.Name}.ppk_required = no");
}
