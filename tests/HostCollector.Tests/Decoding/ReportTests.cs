using VsockPair.TestKit;
using Xunit.Abstractions;

namespace VsockPair.HostCollector.Tests.Decoding;

/// <summary>
/// Small recordings of real guests (<c>tests/TestData/Decoding</c>, made by <c>DecodingTests</c> of Vm.Tests), printed as trace-cmd printed them.
/// </summary>
public sealed class ReportTests(ITestOutputHelper output)
{
    public static string Folder { get; } = Path.Combine(Repository.Root, "tests/TestData/Decoding");

    public static TheoryData<string> Files => [.. Directory.GetFiles(Folder, "*.zip").Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Files))]
    public void Prints_a_recording_as_trace_cmd_does(string file)
    {
        ReportComparison comparison = ReportComparison.Of(CaptureFile.Read(Path.Combine(Folder, file)));
        output.WriteLine(comparison.Table());
        Assert.Empty(comparison.Unexplained);
        Assert.InRange(comparison.Equal, comparison.Lines / 2, comparison.Lines);
    }
}
