using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using VsockPair.TestKit.Store;

namespace VsockPair.Vm.Tests;

/// <summary>An outside judge: <c>trace-cmd</c> builds a trace.dat from the raw segments and counts the events.</summary>
internal static class TraceCmd
{
    /// <summary>Byte of the head where trace-cmd 3.1.6 writes 4096, whatever the sub-buffer size is.</summary>
    private const int HeadPageSizeOffset = 14;

    /// <returns>Events per vCPU, as <c>trace-cmd report</c> prints them.</returns>
    public static async Task<long[]> CountEventsAsync(StoredBoot boot, int cpus)
    {
        long[] counts = new long[cpus];
        await ReportAsync(boot, cpus, line =>
        {
            // "  comm-123   [002]    12.345678: sched_switch: …"; lost events have a line of their own that begins with CPU.
            int open = line.IndexOf(" [", StringComparison.Ordinal);
            if (open > 0 && line.Length > open + 5 && line[open + 5] == ']' && int.TryParse(line.AsSpan(open + 2, 3), CultureInfo.InvariantCulture, out int cpu))
            {
                counts[cpu]++;
            }
        });
        return counts;
    }

    /// <summary>Gives every line of <c>trace-cmd report</c>.</summary>
    public static async Task ReportAsync(StoredBoot boot, int cpus, Action<string> line)
    {
        string work = Directory.CreateTempSubdirectory("vsockpair-trace-cmd-").FullName;
        try
        {
            string tracing = Path.Combine(work, "tracing");
            foreach (string name in boot.MetadataNames.Where(n => n.StartsWith("events/", StringComparison.Ordinal) || n is "printk_formats" or "saved_cmdlines"))
            {
                string path = Path.Combine(tracing, name);
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                await File.WriteAllBytesAsync(path, boot.Metadata(name));
            }
            string kallsyms = Path.Combine(work, "kallsyms");
            await File.WriteAllTextAsync(kallsyms, "0000000000000000 T _text\n");

            string head = Path.Combine(work, "head.dat");
            await RunAsync(work, "restore", "-c", "-t", tracing, "-k", kallsyms, "-o", head);
            byte[] headBytes = await File.ReadAllBytesAsync(head);
            BinaryPrimitives.WriteInt32LittleEndian(headBytes.AsSpan(HeadPageSizeOffset), boot.Record["sub_buffer_bytes"]!.GetValue<int>());
            await File.WriteAllBytesAsync(head, headBytes);

            List<string> raw = [];
            for (int cpu = 0; cpu < cpus; cpu++)
            {
                string file = Path.Combine(work, string.Create(CultureInfo.InvariantCulture, $"trace.cpu{cpu}"));
                await using FileStream all = File.Create(file);
                foreach (StoredSegment segment in boot.Segments(cpu))
                {
                    await using FileStream one = File.OpenRead(segment.Path);
                    await one.CopyToAsync(all);
                }
                raw.Add(file);
            }
            await RunAsync(work, ["restore", "-i", head, "-o", Path.Combine(work, "trace.dat"), .. raw]);
            await ReadReportAsync(work, line);
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    private static async Task ReadReportAsync(string work, Action<string> take)
    {
        using Process process = Start(work, ["report", "-i", Path.Combine(work, "trace.dat")]);
        Task<string> error = process.StandardError.ReadToEndAsync();
        while (await process.StandardOutput.ReadLineAsync() is { } line)
        {
            take(line);
        }
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"trace-cmd report failed: {await error}");
        }
    }

    private static async Task RunAsync(string work, params string[] arguments)
    {
        using Process process = Start(work, arguments);
        Task<string> error = process.StandardError.ReadToEndAsync();
        string text = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"trace-cmd {string.Join(' ', arguments)} failed:\n{text}{await error}");
        }
    }

    private static Process Start(string work, IEnumerable<string> arguments) =>
        Process.Start(new ProcessStartInfo("trace-cmd", arguments) { WorkingDirectory = work, RedirectStandardOutput = true, RedirectStandardError = true })
        ?? throw new InvalidOperationException("trace-cmd did not start");
}
