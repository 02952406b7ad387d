using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using VsockPair.Decoding;
using VsockPair.Memory;
using VsockPair.TestKit;
using VsockPair.TestKit.Vm;
using VsockPair.Text;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>
/// What a guest's memory tells of it, out of each kind of dump, against what the guest itself says. With VSOCKPAIR_CAPTURES=FOLDER each kernel also leaves the small core of its
/// panic for TestData/Memory.
/// </summary>
public sealed class MemoryTests(ITestOutputHelper output)
{
    private const string Lines = """
        echo 'first line
        second line' > /dev/kmsg
        printf 'bell \a and \033[31mred\tand tab' > /dev/kmsg
        i=0; while [ $i -lt 3000 ]; do echo "filling the ring, record $i"; i=$((i + 1)); done > /tmp/many
        while read -r line; do echo "$line" > /dev/kmsg; done < /tmp/many
        """;

    private static readonly string? CaptureFolder = Environment.GetEnvironmentVariable("VSOCKPAIR_CAPTURES");

    [Theory]
    [InlineData(GuestKernel.Linux612)]
    [InlineData(GuestKernel.Linux61)]
    public async Task The_log_in_every_kind_of_dump_is_the_guests_own(GuestKernel kernel)
    {
        await using Guest guest = await Guest.StartAsync(new GuestOptions { Kernel = kernel, ExtraKernelArguments = "printk.devkmsg=on" });
        (await guest.RunAsync(Lines)).EnsureSuccess();
        string expected = (await guest.RunAsync("dmesg -s 1000000")).Text;
        string release = (await guest.RunAsync("uname -r")).Text.TrimEnd();
        await guest.Qmp.ExecuteAsync("stop");
        string text = (await guest.Qmp.ExecuteAsync("query-status"))!["status"]!.GetValue<string>();
        Assert.Equal("paused", text);

        foreach (string format in (string[])["elf", "kdump-raw-zlib", "kdump-zlib"])
        {
            string path = await StandingGuest.DumpAsync(guest, format);
            long start = Stopwatch.GetTimestamp();
            using MemoryFile memory = StandingGuest.Open(path);
            KernelMemory opened = Open(memory);
            Assert.Equal(release, opened.Info.Release);
            (string log, PrintkReport report) = ReadLog(opened);
            TimeSpan time = Stopwatch.GetElapsedTime(start);
            Assert.Null(report.Missing);
            Assert.Equal(0, report.Lost);
            AssertSame(expected, log);
            output.Measured($"{release}, {format} of {new FileInfo(path).Length >> 20} MiB ({memory.Format}): {report.Records} records in {time.TotalMilliseconds:0} ms");
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData(GuestKernel.Linux612, 512)]
    [InlineData(GuestKernel.Linux61, 512)]
    [InlineData(GuestKernel.Linux612, 16384)]
    public async Task A_panicked_guest_is_read_in_little_time_whatever_its_size(GuestKernel kernel, int mebibytes)
    {
        await using Guest guest = await Guest.StartAsync(new GuestOptions { Kernel = kernel, MemoryMiB = mebibytes, PauseOnPanic = true });
        byte[] symbols = await guest.ReadFileAsync("/proc/kallsyms");
        await guest.PanicAsync();
        await guest.Qmp.WaitForEventAsync("STOP", TimeSpan.FromSeconds(20));

        string path = Path.Combine(guest.Directory, "vmcore");
        MemoryReading reading;
        long start = Stopwatch.GetTimestamp();
        await using (FileStream target = File.Create(path))
        {
            ProcessStartInfo reader = new(CollectorProcess.Binary, ["read-memory", guest.Name, "--store", guest.Directory]);
            reading = await MiniDump.TakeAsync(new StandingGuest(guest), reader, target, CancellationToken.None);
        }
        TimeSpan paused = Stopwatch.GetElapsedTime(start);
        Assert.Null(reading.Reason);

        using MemoryFile memory = StandingGuest.Open(path);
        (string log, PrintkReport report) = ReadLog(Open(memory));
        output.Measured(
            $"{kernel}, {mebibytes} MiB: {reading.Requests} requests, {reading.Bytes >> 10} KiB in {reading.Time.TotalMilliseconds:0} ms, "
            + $"paused {paused.TotalMilliseconds:0} ms; {report.Records} records");
        Assert.Null(report.Missing);
        Assert.Contains("Kernel panic - not syncing: sysrq triggered crash", log, StringComparison.Ordinal);
        Assert.InRange(paused, TimeSpan.Zero, TimeSpan.FromSeconds(2));

        StringWriter registers = new();
        Assert.Equal(2, CpuRegisters.Write(memory.Notes, KernelSymbols.Parse([], symbols), registers));
        output.WriteLine(registers.ToString());
        // One writes to the pvpanic device, the other was told to stop.
        Assert.Contains(" in iowrite8+0x", registers.ToString(), StringComparison.Ordinal);
        Assert.Contains(" in stop_this_cpu+0x", registers.ToString(), StringComparison.Ordinal);
        if (CaptureFolder is not null && mebibytes == 512)
        {
            Capture(path, Path.Combine(CaptureFolder, $"{kernel}.zip"), log);
        }
    }

    [Fact]
    public async Task Without_the_vmcoreinfo_device_the_place_that_the_guest_tells_is_as_good()
    {
        await using Guest guest = await Guest.StartAsync(new GuestOptions { InitScript = "rmmod qemu_fw_cfg" });
        string place = (await guest.RunAsync("cat /sys/kernel/vmcoreinfo")).EnsureSuccess().Text;
        await guest.Qmp.ExecuteAsync("stop");
        using MemoryFile memory = StandingGuest.Open(await StandingGuest.DumpAsync(guest, "elf"));
        Assert.True(VmcoreInfoSource.TryFind(memory, CoreNotes.Empty, Encoding.ASCII.GetBytes(place), out VmcoreInfo? info, out string? reason), reason);
        Assert.True(KernelMemory.TryOpen(memory, info, out KernelMemory? opened, out reason), reason);
        Assert.Contains("Linux version 6.12", ReadLog(opened).Log, StringComparison.Ordinal);
    }

    private static KernelMemory Open(MemoryFile memory)
    {
        Assert.True(VmcoreInfoSource.TryFind(memory, memory.Notes, [], out VmcoreInfo? info, out string? reason), reason);
        Assert.True(KernelMemory.TryOpen(memory, info, out KernelMemory? opened, out reason), reason);
        return opened;
    }

    private static (string Log, PrintkReport Report) ReadLog(KernelMemory memory)
    {
        StringWriter log = new();
        PrintkReport report = PrintkRing.Write(memory, log, PrintkLimits.File);
        return (log.ToString(), report);
    }

    /// <summary>The kernel repeats the time before each line of a record and escapes nothing; what it said after dmesg ran may follow.</summary>
    private static void AssertSame(string expected, string log)
    {
        string[] wanted = [.. expected.TrimEnd('\n').Split('\n').Select(line => line[..PrefixOf(line)] + TerminalText.Escape(line[PrefixOf(line)..]))];
        List<string> found = [];
        string prefix = "";
        foreach (string line in log.TrimEnd('\n').Split('\n'))
        {
            bool isFirst = line.StartsWith('[');
            prefix = isFirst ? line[..PrefixOf(line)] : prefix;
            found.Add(isFirst ? line : prefix + line[prefix.Length..]);
        }
        Assert.InRange(wanted.Length, 1000, found.Count);
        Assert.Equal(wanted, found.Take(wanted.Length));
        Assert.InRange(found.Count - wanted.Length, 0, 20);
    }

    private static int PrefixOf(string line) => line.IndexOf(']', StringComparison.Ordinal) + 2;

    private static void Capture(string core, string path, string log)
    {
        File.Delete(path);
        using ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Create);
        zip.CreateEntryFromFile(core, "vmcore", CompressionLevel.SmallestSize);
        using StreamWriter text = new(zip.CreateEntry("dmesg.txt", CompressionLevel.SmallestSize).Open());
        text.Write(log);
    }
}
