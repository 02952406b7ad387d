using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using VsockPair.TestKit.Store;

namespace VsockPair.TestKit;

/// <summary>The outside judge: <c>trace-cmd</c> makes a trace.dat of raw sub-buffers and metadata, and prints it.</summary>
public static class TraceCmdReport
{
    /// <summary>Byte of the head where trace-cmd 3.1.6 writes 4096, whatever the sub-buffer size is.</summary>
    private const int HeadPageSizeOffset = 14;

    /// <summary>Hands each line of the report to <paramref name="line"/>.</summary>
    /// <param name="metadata">Name as in tracefs → bytes.</param>
    /// <param name="kallsyms">As <c>/proc/kallsyms</c> has it.</param>
    /// <param name="cpus">For each CPU the files whose sub-buffers follow each other.</param>
    public static async Task ReadAsync(
        IEnumerable<KeyValuePair<string, byte[]>> metadata, byte[] kallsyms, IReadOnlyList<IEnumerable<string>> cpus, int subBufferBytes, Action<string> line)
    {
        string work = Directory.CreateTempSubdirectory("vsockpair-trace-cmd-").FullName;
        try
        {
            string tracing = Path.Combine(work, "tracing");
            foreach ((string name, byte[] bytes) in metadata)
            {
                if (name.StartsWith("events/", StringComparison.Ordinal) || name is "printk_formats" or "saved_cmdlines")
                {
                    string path = Path.Combine(tracing, name);
                    Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                    await File.WriteAllBytesAsync(path, bytes);
                }
            }
            string symbols = Path.Combine(work, "kallsyms");
            await File.WriteAllBytesAsync(symbols, kallsyms);

            string head = Path.Combine(work, "head.dat");
            await RunAsync(work, "restore", "-c", "-t", tracing, "-k", symbols, "-o", head);
            byte[] headBytes = await File.ReadAllBytesAsync(head);
            BinaryPrimitives.WriteInt32LittleEndian(headBytes.AsSpan(HeadPageSizeOffset), subBufferBytes);
            await File.WriteAllBytesAsync(head, headBytes);

            List<string> raw = [];
            foreach (IEnumerable<string> files in cpus)
            {
                string file = Path.Combine(work, string.Create(CultureInfo.InvariantCulture, $"trace.cpu{raw.Count}"));
                await using FileStream all = File.Create(file);
                foreach (string one in files)
                {
                    await all.WriteAsync(StoredSegment.Read(one));
                }
                raw.Add(file);
            }
            await RunAsync(work, ["restore", "-i", head, "-o", Path.Combine(work, "trace.dat"), .. raw]);
            await PrintAsync(Path.Combine(work, "trace.dat"), line);
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    /// <summary>Hands each line of the report of a trace.dat to <paramref name="line"/>.</summary>
    public static async Task PrintAsync(string file, Action<string> line, params string[] options)
    {
        using Process process = Start(Path.GetDirectoryName(file)!, ["report", .. options, "-i", file]);
        // Guest text is no UTF-8 for sure, and lines must compare byte for byte.
        using StreamReader output = new(process.StandardOutput.BaseStream, System.Text.Encoding.Latin1);
        Task<string> error = process.StandardError.ReadToEndAsync();
        while (await output.ReadLineAsync() is { } text)
        {
            line(text);
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
