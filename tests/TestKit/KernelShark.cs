using System.Diagnostics;
using System.Globalization;
using System.Text;
using VsockPair.TestKit.Vm;

namespace VsockPair.TestKit;

/// <summary>A row of KernelShark's table.</summary>
/// <param name="Event"><c>system/event</c>, or <see cref="KernelShark.Lost"/>.</param>
public sealed record KernelSharkRow(int Cpu, ulong Time, int Pid, string Task, string Event);

/// <summary>An outside judge of a trace.dat: KernelShark, as a window and as the library that it is made of.</summary>
public static class KernelShark
{
    /// <summary>The event of a row that stands where events were lost.</summary>
    public const string Lost = "missed_events";

    /// <summary>All rows in KernelShark's order.</summary>
    public static async Task<List<KernelSharkRow>> ReadAsync(string file)
    {
        byte[] output = await HostCommand.RunAsync(await StaticProgram.KernelSharkEntriesAsync(), file);
        // Task names are the guest's, and no UTF-8 for sure.
        return [.. Encoding.Latin1.GetString(output).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(Row)];
    }

    /// <summary>Opens the file in KernelShark's window and takes a picture of it.</summary>
    /// <returns>Why KernelShark does not show it; null if it does.</returns>
    public static async Task<string?> ShowAsync(string file, string picture)
    {
        ProcessStartInfo start = new(Path.Combine(Repository.Root, "tests", "rig", "kernelshark.sh"), [file, picture]) { RedirectStandardError = true };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException("kernelshark.sh did not start");
        string error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? null : error;
    }

    private static KernelSharkRow Row(string line)
    {
        string[] parts = line.Split('\t');
        return new KernelSharkRow(
            int.Parse(parts[0], CultureInfo.InvariantCulture), ulong.Parse(parts[1], CultureInfo.InvariantCulture), int.Parse(parts[2], CultureInfo.InvariantCulture), parts[3], parts[4]);
    }
}
