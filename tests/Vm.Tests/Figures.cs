using System.Runtime.CompilerServices;
using VsockPair.TestKit;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>Figures that a test measured: in its output, and in what <c>make soak</c> leaves behind.</summary>
internal static class Figures
{
    public static void Measured(this ITestOutputHelper output, string figure, [CallerMemberName] string test = "")
    {
        output.WriteLine(figure);
        Soak.Record(test, figure);
    }
}
