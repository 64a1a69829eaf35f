namespace Warifu.Fuzz;

internal static class FuzzProgram
{
    internal static int Main() => 2;
}
