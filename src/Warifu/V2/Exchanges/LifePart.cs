using System;
using System.Buffers.Binary;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>What IKE_AUTH says about the life of the IKE SA: AUTH_LIFETIME (RFC 4478), our token of quick crash detection (RFC 6290), and whether the configuration payload binds it to who began it.</summary>
internal sealed class LifePart : AuthPart
{
    public override void WriteRequest(IkeSa sa, MessageBuilder builder) => CrashTokens.Write(sa, builder);

    public override void ReadRequest(IkeSa sa, scoped in MessageView view)
    {
        CrashTokens.Read(sa, view);
        sa.HasConfiguration |= view.IndexOf(PayloadType.Cp) >= 0;
    }

    public override void WriteResponse(IkeSa sa, MessageBuilder builder)
    {
        CrashTokens.Write(sa, builder);
        if (Reauthentication.LifetimeToTell(sa) is not (> 0 and var seconds)) return;
        Span<byte> data = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(data, seconds);
        builder.Notify(NotifyType.AuthLifetime, data);
    }

    public override void ReadResponse(IkeSa sa, scoped in MessageView view)
    {
        CrashTokens.Read(sa, view);
        sa.HasConfiguration |= view.IndexOf(PayloadType.Cp) >= 0;
        if (view.TryGetNotify(NotifyType.AuthLifetime, out var lifetime)) Reauthentication.Told(sa, lifetime.Data);
    }
}

/// <summary>INFORMATIONAL with our token for a rekeyed IKE SA (RFC 6290 section 4.3).</summary>
internal sealed class CrashTokenExchange : Exchange
{
    public override ExchangeType Type => ExchangeType.Informational;

    public override string Task => "IKE_QCD_TOKEN";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        CrashTokens.Write(sa, builder);
        return sa.State == IkeState.Established && sa.Engine.Options.CrashSecret is not null;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
    }
}
