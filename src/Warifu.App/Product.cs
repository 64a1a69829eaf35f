namespace Warifu.App;

/// <summary>What this program says of itself.</summary>
internal static class Product
{
    public const string Version = "0.1.0";
}
