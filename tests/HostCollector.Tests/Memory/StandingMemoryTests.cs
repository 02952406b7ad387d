using System.IO.Pipes;
using System.Text;
using VsockPair.Commands;
using VsockPair.Memory;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>Reading a guest that stands still: reader and server over real pipes.</summary>
public sealed class StandingMemoryTests : IDisposable
{
    private readonly AnonymousPipeServerStream _requests = new(PipeDirection.In);
    private readonly AnonymousPipeServerStream _answers = new(PipeDirection.Out);
    private readonly AnonymousPipeClientStream _toServer;
    private readonly AnonymousPipeClientStream _fromServer;
    private readonly MemoryStream _core = new();
    private readonly StringWriter _error = new();

    public StandingMemoryTests()
    {
        _toServer = new AnonymousPipeClientStream(PipeDirection.Out, _requests.ClientSafePipeHandle);
        _fromServer = new AnonymousPipeClientStream(PipeDirection.In, _answers.ClientSafePipeHandle);
    }

    [Fact]
    public async Task The_same_log_is_read_out_of_the_small_core_as_out_of_the_whole_memory()
    {
        PrintkImage image = new(countBits: 12, sizeBits: 16);
        for (int i = 0; i < 5000; i++)
        {
            image.Add($"record {i}");
        }
        byte[] notes = MemoryFilesTests.Note("VMCOREINFO", 0, Encoding.ASCII.GetBytes(image.Kernel.VmcoreInfoText + PrintkImage.Layout));
        Standing machine = new(image.Kernel);
        (MemoryReading reading, int exitCode) = await ReadAsync(machine, notes);
        Assert.Null(reading.Reason);
        Assert.Equal((ExitCode.Done, ""), (exitCode, _error.ToString()));
        Assert.Equal(machine.Requests, reading.Requests);
        // Pages once each: two for the tables, one for the ring, the three arrays in pieces of up to 1 MiB.
        Assert.InRange(reading.Requests, 5, 20);
        Assert.InRange(reading.Bytes, 65536, 1 << 20);

        using MemoryFile memory = Open();
        Assert.True(VmcoreInfoSource.TryFind(memory, memory.Notes, [], out VmcoreInfo? info, out string? reason), reason);
        Assert.True(KernelMemory.TryOpen(memory, info, out KernelMemory? kernel, out reason), reason);
        StringWriter whole = new();
        StringWriter small = new();
        PrintkReport report = PrintkRing.Write(image.Kernel.Open(PrintkImage.Layout), whole, PrintkLimits.File);
        Assert.Equal(report, PrintkRing.Write(kernel, small, PrintkLimits.File));
        Assert.Equal(whole.ToString(), small.ToString());
        Assert.InRange(report.Records, 2000, 4096);
    }

    [Fact]
    public async Task Without_vmcoreinfo_the_reader_says_so_and_the_guest_goes_on()
    {
        (MemoryReading reading, int exitCode) = await ReadAsync(new Standing(new KernelImage()), []);
        Assert.Equal(new MemoryReading(0, 0, reading.Time, null), reading);
        Assert.Equal(ExitCode.Failed, exitCode);
        Assert.Contains("web1: no VMCOREINFO", _error.ToString(), StringComparison.Ordinal);
        Assert.InRange(reading.Time, TimeSpan.Zero, MemoryServer.MaxTime);
    }

    [Fact]
    public async Task A_machine_that_answers_slowly_stands_no_longer_than_the_limit()
    {
        Standing machine = new(new KernelImage()) { Delay = TimeSpan.FromMinutes(1) };
        Task<MemoryReading> serving = Serve(machine, []);
        Send(new MemoryRequest(KernelImage.PhysicalBase, 4096));
        MemoryReading reading = await serving;
        Assert.Equal("reading took longer than 1.5 s", reading.Reason);
        Assert.InRange(reading.Time, MemoryServer.MaxTime - TimeSpan.FromMilliseconds(50), TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task A_reader_that_says_nothing_does_not_hold_the_guest()
    {
        MemoryReading reading = await Serve(new Standing(new KernelImage()), []);
        Assert.Equal("reading took longer than 1.5 s", reading.Reason);
    }

    [Fact]
    public async Task A_reader_that_dies_leaves_what_was_read()
    {
        Task<MemoryReading> serving = Serve(new Standing(new KernelImage()), []);
        Send(new MemoryRequest(KernelImage.PhysicalBase, 8192));
        byte[] answer = new byte[1 + 8192 + 4];
        await _fromServer.ReadExactlyAsync(answer);
        _toServer.Dispose();
        MemoryReading reading = await serving;
        Assert.Equal(("the reader ended before it was done", 8192L), (reading.Reason, reading.Bytes));
        using MemoryFile memory = Open();
        Assert.True(memory.TryRead(KernelImage.PhysicalBase, new byte[8192]));
    }

    [Theory]
    [InlineData(1UL, 4096)]
    [InlineData(0UL, 4095)]
    [InlineData(0UL, 2 << 20)]
    [InlineData(0xFFFF_FFFF_FFFF_F000UL, 8192)]
    public async Task A_reader_that_breaks_the_rules_is_not_served(ulong address, int length)
    {
        Task<MemoryReading> serving = Serve(new Standing(new KernelImage()), []);
        Send(new MemoryRequest(address, (uint)length));
        MemoryReading reading = await serving;
        Assert.Contains("which no reader does", reading.Reason, StringComparison.Ordinal);
        Assert.Equal(0, reading.Requests);
    }

    [Fact]
    public async Task No_reader_gets_more_than_the_limit()
    {
        Task<MemoryReading> serving = Serve(new Standing(new KernelImage()), []);
        byte[] answer = new byte[1 + MemoryRequest.MaxLength];
        await _fromServer.ReadExactlyAsync(answer.AsMemory(0, 4));
        for (int i = 0; i < MemoryServer.MaxBytes / MemoryRequest.MaxLength; i++)
        {
            Send(new MemoryRequest(KernelImage.PhysicalBase, MemoryRequest.MaxLength));
            await _fromServer.ReadExactlyAsync(answer);
            Assert.Equal(MemoryRequest.IsThere, answer[0]);
        }
        Send(new MemoryRequest(KernelImage.PhysicalBase, MemoryRequest.PageBytes));
        MemoryReading reading = await serving;
        Assert.Equal(("what was to be read is more than 64 MiB", MemoryServer.MaxBytes), (reading.Reason, reading.Bytes));
    }

    public void Dispose()
    {
        _toServer.Dispose();
        _fromServer.Dispose();
        _requests.Dispose();
        _answers.Dispose();
    }

    private async Task<(MemoryReading Reading, int ExitCode)> ReadAsync(Standing machine, byte[] notes)
    {
        CommandContext context = new("/nonexistent", TextWriter.Null, _error, TimeProvider.System);
        Task<int> reader = Task.Factory.StartNew(
            () => ReadMemoryCommand.Run(context, "web1", _fromServer, _toServer), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        MemoryReading reading = await Serve(machine, notes);
        return (reading, await reader);
    }

    /// <summary>As <see cref="MiniDump"/> does it, without a process.</summary>
    private async Task<MemoryReading> Serve(Standing machine, byte[] notes)
    {
        MiniCoreWriter core = new(_core);
        MemoryReading reading = await new MemoryServer(machine, core).ServeAsync(notes, _requests, _answers, CancellationToken.None);
        core.Finish(notes);
        return reading;
    }

    private void Send(MemoryRequest request)
    {
        byte[] bytes = new byte[MemoryRequest.Bytes];
        request.Write(bytes);
        _toServer.Write(bytes);
    }

    private MemoryFile Open()
    {
        Assert.True(MemoryFiles.TryOpen(new MemoryBytes(_core.ToArray()), out MemoryFile? memory, out string? reason), reason);
        return memory;
    }

    private sealed class Standing(IPhysicalMemory memory) : IStandingMemory
    {
        public TimeSpan Delay { get; init; }

        public int Requests { get; private set; }

        public async Task<bool> ReadMemoryAsync(ulong address, Memory<byte> target, CancellationToken stop)
        {
            Requests++;
            if (Delay > TimeSpan.Zero)
            {
                await Task.Delay(Delay, stop);
            }
            return memory.TryRead(address, target.Span);
        }

        public Task<byte[]?> ReadNotesAsync(CancellationToken stop) => throw new NotSupportedException("the tests hand notes over themselves");
    }
}
