using System.Diagnostics;

namespace VsockPair.TestKit.Vm;

/// <summary>Runs a short tool of the host to its end (gcc, xz, ldd).</summary>
internal static class HostCommand
{
    public static async Task<byte[]> RunAsync(string program, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start");
        Task<string> errors = process.StandardError.ReadToEndAsync();
        using var output = new MemoryStream();
        await process.StandardOutput.BaseStream.CopyToAsync(output);
        await process.WaitForExitAsync();
        return process.ExitCode == 0
            ? output.ToArray()
            : throw new InvalidOperationException($"{program} {string.Join(' ', start.ArgumentList)} ended with exit code {process.ExitCode}:\n{await errors}");
    }
}
