using System.Diagnostics;
using VsockPair.Commands;
using VsockPair.HostCollector.Tests.Export;
using VsockPair.Linux;

namespace VsockPair.HostCollector.Tests.Commands;

/// <summary>A guest with more vCPUs than a process may have descriptors unless it asks for more.</summary>
public sealed class DescriptorTests : IDisposable
{
    private const int Vcpus = 1100;
    private const ulong Start = 100_000_000_000;

    private readonly SampleStore _store = new();

    public DescriptorTests()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon);
        SampleTrace trace = new(_store);
        trace.WriteMetadata();
        for (int vcpu = 0; vcpu < Vcpus; vcpu++)
        {
            trace.WriteSegment(vcpu, Start + (ulong)vcpu, SampleTrace.SubBufferOf(Start + (ulong)vcpu, vcpu, 1));
        }
    }

    public void Dispose() => _store.Dispose();

    /// <summary>The runtime of this test has raised the limit, that of the native program does not.</summary>
    [Fact]
    public async Task Limit_of_a_shell_is_raised()
    {
        Assert.Equal(0, Sys.SetDescriptorLimit(1024));
        try
        {
            Assert.Equal(Vcpus + 1, (await File.ReadAllLinesAsync(await _store.ExportAsync("txt"))).Length);
        }
        finally
        {
            // It is the limit of all tests that run meanwhile.
            Sys.SetDescriptorLimit(ulong.MaxValue);
        }
    }

    [Theory]
    [InlineData("export", "-o", "-", "--format", "txt")]
    [InlineData("tail")]
    public async Task Too_many_for_the_hard_limit_is_said(string command, params string[] options)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "vsockpair.dll");
        ProcessStartInfo start = new("sh", ["-c", "ulimit -n 300; exec dotnet \"$@\"", "sh", program, "--store", _store.Root, command, "web1", .. options])
        {
            RedirectStandardError = true, RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = await process.StandardError.ReadToEndAsync();
        await output;
        await process.WaitForExitAsync();
        Assert.StartsWith("vsockpair: Too many open files", error, StringComparison.Ordinal);
        Assert.EndsWith("or choose vCPUs with --cpu\n", error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Failed, process.ExitCode);
    }
}
