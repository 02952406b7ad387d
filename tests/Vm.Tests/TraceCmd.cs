using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using VsockPair.TestKit.Store;

namespace VsockPair.Vm.Tests;

/// <summary>An outside judge: <c>trace-cmd</c> builds a trace.dat from the raw segments and prints the events.</summary>
internal static class TraceCmd
{
    /// <summary>Byte of the head where trace-cmd 3.1.6 writes 4096, whatever the sub-buffer size is.</summary>
    private const int HeadPageSizeOffset = 14;

    /// <returns>Events per vCPU, as <c>trace-cmd report</c> prints them.</returns>
    public static async Task<long[]> CountEventsAsync(StoredBoot boot, int cpus)
    {
        string work = Directory.CreateTempSubdirectory("vsockpair-trace-cmd-").FullName;
        try
        {
            string file = await RestoreAsync(boot, Enumerable.Range(0, cpus), "0000000000000000 T _text\n", work);
            long[] counts = new long[cpus];
            await foreach (string line in ReportAsync(file))
            {
                // "  comm-123   [002]    12.345678: sched_switch: …"; lost events have a line of their own that begins with CPU.
                int open = line.IndexOf(" [", StringComparison.Ordinal);
                if (open > 0 && line.Length > open + 5 && line[open + 5] == ']' && int.TryParse(line.AsSpan(open + 2, 3), CultureInfo.InvariantCulture, out int cpu))
                {
                    counts[cpu]++;
                }
            }
            return counts;
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    /// <summary>Has trace-cmd make a trace.dat of a boot's segments and metadata alone.</summary>
    /// <param name="kallsyms">Text of the guest's <c>/proc/kallsyms</c>.</param>
    /// <param name="work">A folder to work in.</param>
    /// <returns>The file.</returns>
    public static async Task<string> RestoreAsync(StoredBoot boot, IEnumerable<int> cpus, string kallsyms, string work)
    {
        string tracing = Path.Combine(work, "tracing");
        foreach (string name in boot.MetadataNames.Where(n => n.StartsWith("events/", StringComparison.Ordinal) || n is "printk_formats" or "saved_cmdlines"))
        {
            string path = Path.Combine(tracing, name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            await File.WriteAllBytesAsync(path, boot.Metadata(name));
        }
        string symbols = Path.Combine(work, "kallsyms");
        await File.WriteAllTextAsync(symbols, kallsyms);

        string head = Path.Combine(work, "head.dat");
        await RunAsync("restore", "-c", "-t", tracing, "-k", symbols, "-o", head);
        byte[] headBytes = await File.ReadAllBytesAsync(head);
        BinaryPrimitives.WriteInt32LittleEndian(headBytes.AsSpan(HeadPageSizeOffset), boot.Record["sub_buffer_bytes"]!.GetValue<int>());
        await File.WriteAllBytesAsync(head, headBytes);

        List<string> raw = [];
        foreach (int cpu in cpus)
        {
            string file = Path.Combine(work, string.Create(CultureInfo.InvariantCulture, $"trace.cpu{cpu}"));
            await using FileStream all = File.Create(file);
            foreach (StoredSegment segment in boot.Segments(cpu))
            {
                await all.WriteAsync(segment.Read());
            }
            raw.Add(file);
        }
        string restored = Path.Combine(work, "trace.dat");
        await RunAsync(["restore", "-i", head, "-o", restored, .. raw]);
        return restored;
    }

    /// <summary>The lines that <c>trace-cmd report</c> prints of a trace.dat, as Latin-1: guests write any bytes.</summary>
    public static async IAsyncEnumerable<string> ReportAsync(string file, params string[] options)
    {
        using Process process = Start(["report", .. options, "-i", file]);
        Task<string> error = process.StandardError.ReadToEndAsync();
        while (await process.StandardOutput.ReadLineAsync() is { } line)
        {
            yield return line;
        }
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"trace-cmd report failed: {await error}");
        }
    }

    private static async Task RunAsync(params string[] arguments)
    {
        using Process process = Start(arguments);
        Task<string> error = process.StandardError.ReadToEndAsync();
        string text = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"trace-cmd {string.Join(' ', arguments)} failed:\n{text}{await error}");
        }
    }

    private static Process Start(IEnumerable<string> arguments) =>
        Process.Start(new ProcessStartInfo("trace-cmd", arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = System.Text.Encoding.Latin1,
        }) ?? throw new InvalidOperationException("trace-cmd did not start");
}
