using VsockPair.Decoding;
using VsockPair.HostCollector.Tests.Decoding;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>
/// What real kernels trace is printed as <c>trace-cmd report</c> prints it, line for line. With VSOCKPAIR_CAPTURES=FOLDER each case also leaves a small
/// recording there: that is how <c>tests/TestData/Decoding</c> was made.
/// </summary>
public sealed class DecodingTests(ITestOutputHelper output)
{
    private const int BufferKiB = 2048;
    private const int SmallSubBuffers = 5;
    private const int EachSynthetic = 4;

    private static readonly string? CaptureFolder = Environment.GetEnvironmentVariable("VSOCKPAIR_CAPTURES");

    private static readonly DecodingScenario[] Scenarios =
        [DecodingScenario.Common, DecodingScenario.All, DecodingScenario.Probes, DecodingScenario.Function, DecodingScenario.Graph];

    public static TheoryData<GuestKernel, string> Cases
    {
        get
        {
            TheoryData<GuestKernel, string> cases = [];
            foreach (DecodingScenario scenario in Scenarios)
            {
                cases.Add(GuestKernel.Linux612, scenario.Name);
                cases.Add(GuestKernel.Linux61, scenario.Name);
            }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Prints_what_trace_cmd_prints(GuestKernel kernel, string name)
    {
        DecodingScenario scenario = Scenarios.Single(s => s.Name == name);
        await using Guest guest = await StartAsync(kernel);
        TraceCapture capture = await scenario.RecordAsync(guest, BufferKiB);
        Dictionary<string, byte[]> metadata = CaptureReduction.Metadata(capture);
        CaptureFile file = new(
            metadata, capture.Cpus, capture.SubBufferBytes,
            await CaptureReduction.ReportAsync(metadata, capture.Metadata["kallsyms"], capture.Cpus, capture.SubBufferBytes));
        ReportComparison comparison = Compare(file);
        Assert.InRange(comparison.Events, scenario.MinimumEvents, int.MaxValue);
        if (CaptureFolder is not null)
        {
            (await CaptureReduction.SmallAsync(capture, SmallSubBuffers)).Write(Path.Combine(CaptureFolder, $"{kernel}-{name}.zip"));
        }
    }

    /// <summary>Every format that the kernel has, with made-up events: more than any load could cause.</summary>
    [Theory]
    [InlineData(GuestKernel.Linux612)]
    [InlineData(GuestKernel.Linux61)]
    public async Task Prints_every_format_of_the_kernel_as_trace_cmd_does(GuestKernel kernel)
    {
        await using Guest guest = await StartAsync(kernel);
        TraceCapture capture = await TraceCapture.TakeAsync(guest);
        Dictionary<string, byte[]> metadata = CaptureReduction.Metadata(capture);
        EventCatalog catalog = new(metadata.Keys, metadata.GetValueOrDefault);
        // Xen's events need a table of hypercalls, and nobody runs Xen below KVM.
        EventFormat[] formats = [.. catalog.Formats.Where(f => f.System != "xen").OrderBy(f => f.Id)];
        byte[] bytes = new SyntheticEvents(seed: 11, catalog.Symbols.AddressOf("_stext")).SubBuffers(formats, EachSynthetic, capture.SubBufferBytes);
        CaptureFile file = new(
            metadata, [bytes], capture.SubBufferBytes, await CaptureReduction.ReportAsync(metadata, capture.Metadata["kallsyms"], [bytes], capture.SubBufferBytes));
        ReportComparison comparison = Compare(file);
        Assert.Equal(formats.Select(f => f.Name).Distinct().Count(), comparison.Events);
        if (CaptureFolder is not null)
        {
            byte[] few = new SyntheticEvents(seed: 11, catalog.Symbols.AddressOf("_stext")).SubBuffers(SyntheticEvents.Distinctive(formats), each: 1, capture.SubBufferBytes);
            CaptureFile small = await CaptureReduction.SmallAsync(capture with { Cpus = [few] }, few.Length / capture.SubBufferBytes);
            small.Write(Path.Combine(CaptureFolder, $"{kernel}-synthetic.zip"));
        }
    }

    private static async Task<Guest> StartAsync(GuestKernel kernel) =>
        await Guest.StartAsync(new GuestOptions { Kernel = kernel, Cpus = 2, Files = await TraceCapture.FilesAsync() });

    private ReportComparison Compare(CaptureFile file)
    {
        ReportComparison comparison = ReportComparison.Of(file);
        output.WriteLine(comparison.Table());
        Assert.Empty(comparison.Unexplained);
        return comparison;
    }
}
