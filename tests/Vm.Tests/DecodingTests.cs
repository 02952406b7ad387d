using System.Text;
using VsockPair.TestKit;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>What real kernels trace is printed as <c>trace-cmd report</c> prints it, line for line.</summary>
public sealed class DecodingTests(ITestOutputHelper output)
{
    private const int BufferKiB = 2048;

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
        await using Guest guest = await Guest.StartAsync(new GuestOptions { Kernel = kernel, Cpus = 2, Files = await TraceCapture.FilesAsync() });
        TraceCapture capture = await Scenarios.Single(s => s.Name == name).RecordAsync(guest, BufferKiB);
        output.WriteLine($"{capture.Cpus.Sum(c => c.Length)} bytes, {capture.Metadata.Count} metadata files");
        string folder = Path.Combine(Environment.GetEnvironmentVariable("CAPS")!, $"{kernel}-{name}");
        foreach ((string file, byte[] bytes) in capture.Metadata)
        {
            string path = Path.Combine(folder, file);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            await File.WriteAllBytesAsync(path, bytes);
        }
        List<string[]> raw = [];
        foreach (byte[] bytes in capture.Cpus)
        {
            raw.Add([Path.Combine(folder, $"cpu{raw.Count}")]);
            await File.WriteAllBytesAsync(raw[^1][0], bytes);
        }
        StringBuilder report = new();
        await TraceCmdReport.ReadAsync(capture.Metadata, capture.Metadata["kallsyms"], raw, capture.SubBufferBytes, line => report.Append(line).Append('\n'));
        await File.WriteAllTextAsync(Path.Combine(folder, "report"), report.ToString(), Encoding.Latin1);
    }
}
