using System.Collections.Frozen;
using System.Collections.Generic;
using System.Globalization;
using System.Text;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>One line for people: "IKE_SA_INIT request 0 [ SA KE No N(NATD_S_IP) ]".</summary>
internal static class MessageDescription
{
    private static readonly FrozenDictionary<NotifyType, string> s_notifies = new Dictionary<NotifyType, string>
    {
        [NotifyType.UnsupportedCriticalPayload] = "UNSUPPORTED_CRITICAL_PAYLOAD",
        [NotifyType.InvalidIkeSpi] = "INVALID_IKE_SPI",
        [NotifyType.InvalidMajorVersion] = "INVALID_MAJOR_VERSION",
        [NotifyType.InvalidSyntax] = "INVALID_SYNTAX",
        [NotifyType.InvalidMessageId] = "INVALID_MESSAGE_ID",
        [NotifyType.InvalidSpi] = "INVALID_SPI",
        [NotifyType.NoProposalChosen] = "NO_PROPOSAL_CHOSEN",
        [NotifyType.InvalidKePayload] = "INVALID_KE_PAYLOAD",
        [NotifyType.AuthenticationFailed] = "AUTHENTICATION_FAILED",
        [NotifyType.SinglePairRequired] = "SINGLE_PAIR_REQUIRED",
        [NotifyType.NoAdditionalSas] = "NO_ADDITIONAL_SAS",
        [NotifyType.InternalAddressFailure] = "INTERNAL_ADDRESS_FAILURE",
        [NotifyType.FailedCpRequired] = "FAILED_CP_REQUIRED",
        [NotifyType.TsUnacceptable] = "TS_UNACCEPTABLE",
        [NotifyType.InvalidSelectors] = "INVALID_SELECTORS",
        [NotifyType.UnacceptableAddresses] = "UNACCEPTABLE_ADDRESSES",
        [NotifyType.UnexpectedNatDetected] = "UNEXPECTED_NAT_DETECTED",
        [NotifyType.TemporaryFailure] = "TEMPORARY_FAILURE",
        [NotifyType.ChildSaNotFound] = "CHILD_SA_NOT_FOUND",
        [NotifyType.InitialContact] = "INITIAL_CONTACT",
        [NotifyType.SetWindowSize] = "SET_WINDOW_SIZE",
        [NotifyType.AdditionalTsPossible] = "ADDITIONAL_TS_POSSIBLE",
        [NotifyType.IpcompSupported] = "IPCOMP_SUPPORTED",
        [NotifyType.NatDetectionSourceIp] = "NATD_S_IP",
        [NotifyType.NatDetectionDestinationIp] = "NATD_D_IP",
        [NotifyType.Cookie] = "COOKIE",
        [NotifyType.UseTransportMode] = "USE_TRANSPORT_MODE",
        [NotifyType.HttpCertLookupSupported] = "HTTP_CERT_LOOKUP_SUPPORTED",
        [NotifyType.RekeySa] = "REKEY_SA",
        [NotifyType.EspTfcPaddingNotSupported] = "ESP_TFC_PADDING_NOT_SUPPORTED",
        [NotifyType.NonFirstFragmentsAlso] = "NON_FIRST_FRAGMENTS_ALSO",
        [NotifyType.MobikeSupported] = "MOBIKE_SUPPORTED",
        [NotifyType.AdditionalIp4Address] = "ADDITIONAL_IP4_ADDRESS",
        [NotifyType.AdditionalIp6Address] = "ADDITIONAL_IP6_ADDRESS",
        [NotifyType.NoAdditionalAddresses] = "NO_ADDITIONAL_ADDRESSES",
        [NotifyType.UpdateSaAddresses] = "UPDATE_SA_ADDRESSES",
        [NotifyType.Cookie2] = "COOKIE2",
        [NotifyType.NoNatsAllowed] = "NO_NATS_ALLOWED",
        [NotifyType.AuthLifetime] = "AUTH_LIFETIME",
        [NotifyType.MultipleAuthSupported] = "MULTIPLE_AUTH_SUPPORTED",
        [NotifyType.AnotherAuthFollows] = "ANOTHER_AUTH_FOLLOWS",
        [NotifyType.RedirectSupported] = "REDIRECT_SUPPORTED",
        [NotifyType.Redirect] = "REDIRECT",
        [NotifyType.RedirectedFrom] = "REDIRECTED_FROM",
        [NotifyType.EapOnlyAuthentication] = "EAP_ONLY_AUTHENTICATION",
        [NotifyType.ChildlessIkev2Supported] = "CHILDLESS_IKEV2_SUPPORTED",
        [NotifyType.QuickCrashDetection] = "QUICK_CRASH_DETECTION",
        [NotifyType.Ikev2MessageIdSyncSupported] = "IKEV2_MESSAGE_ID_SYNC_SUPPORTED",
        [NotifyType.Ikev2FragmentationSupported] = "IKEV2_FRAGMENTATION_SUPPORTED",
        [NotifyType.SignatureHashAlgorithms] = "SIGNATURE_HASH_ALGORITHMS",
        [NotifyType.UsePpk] = "USE_PPK",
        [NotifyType.PpkIdentity] = "PPK_IDENTITY",
        [NotifyType.NoPpkAuth] = "NO_PPK_AUTH",
        [NotifyType.IntermediateExchangeSupported] = "INTERMEDIATE_EXCHANGE_SUPPORTED",
        [NotifyType.AdditionalKeyExchange] = "ADDITIONAL_KEY_EXCHANGE",
    }.ToFrozenDictionary();

    public static string Describe(in IkeHeader header, scoped in MessageView view)
    {
        var text = new StringBuilder();
        text.Append(NameOf(header.Exchange)).Append(header.IsResponse ? " response " : " request ").Append(header.MessageId).Append(" [");
        for (var i = 0; i < view.Count; i++) text.Append(' ').Append(NameOf(view[i].Type, view.Body(i)));
        return text.Append(" ]").ToString();
    }

    public static string NameOf(NotifyType type) => s_notifies.TryGetValue(type, out var name) ? name : ((ushort)type).ToString(CultureInfo.InvariantCulture);

    public static string NameOf(ExchangeType exchange) => exchange switch
    {
        ExchangeType.IkeSaInit => "IKE_SA_INIT",
        ExchangeType.IkeAuth => "IKE_AUTH",
        ExchangeType.CreateChildSa => "CREATE_CHILD_SA",
        ExchangeType.Informational => "INFORMATIONAL",
        ExchangeType.IkeIntermediate => "IKE_INTERMEDIATE",
        _ => "EXCHANGE_" + ((byte)exchange).ToString(CultureInfo.InvariantCulture),
    };

    private static string NameOf(PayloadType type, System.ReadOnlySpan<byte> body) => type switch
    {
        PayloadType.Sa => "SA",
        PayloadType.Ke => "KE",
        PayloadType.IdI => "IDi",
        PayloadType.IdR => "IDr",
        PayloadType.Cert => "CERT",
        PayloadType.CertReq => "CERTREQ",
        PayloadType.Auth => "AUTH",
        PayloadType.Nonce => "No",
        PayloadType.Notify => NotifyView.TryParse(body, out var notify) == ParseError.None ? $"N({NameOf(notify.Type)})" : "N(?)",
        PayloadType.Delete => "D",
        PayloadType.VendorId => "V",
        PayloadType.TsI => "TSi",
        PayloadType.TsR => "TSr",
        PayloadType.Sk => "SK",
        PayloadType.Skf => "SKF",
        PayloadType.Cp => "CP",
        PayloadType.Eap => "EAP",
        _ => "P(" + ((byte)type).ToString(CultureInfo.InvariantCulture) + ")",
    };
}
