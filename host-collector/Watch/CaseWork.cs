using System.ComponentModel;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using VsockPair.Options;
using VsockPair.Text;

namespace VsockPair.Watch;

/// <summary>The programs that are run for a case: the child that makes its parts, and the operator's own. Both within a time, and killed after it.</summary>
internal sealed class CaseWork(CollectorOptions options, CaseChild child, ILogger<CaseWork> log)
{
    private const int MostOutput = 4096;

    /// <summary>More than the child's own limits together (<see cref="Cases.CaseLimits"/>), so that it can say what it had no time for.</summary>
    private static readonly TimeSpan AssembleLimit = TimeSpan.FromMinutes(30);

    private static readonly TimeSpan ExecLimit = TimeSpan.FromMinutes(1);

    /// <returns>False when it failed, which the log tells.</returns>
    public Task<bool> AssembleAsync(CaseFolder file, bool final, CancellationToken stop) =>
        RunAsync("assemble", child.Start(["assemble", file.Id, .. final ? ["--final"] : Array.Empty<string>(), "--store", options.StoreDirectory, .. ConfigArguments]), [], AssembleLimit, file.Id, stop);

    /// <summary>Runs <c>Exec</c>, where there is one.</summary>
    public Task<bool> TellAsync(CaseFolder file, CancellationToken stop)
    {
        if (options.Watch.Exec is not string program)
        {
            return Task.FromResult(true);
        }
        byte[] report = JsonSerializer.SerializeToUtf8Bytes(new CaseReport(file.Folder, file.Event, file.Manifest), WatchJson.Default.CaseReport);
        return RunAsync(program, new ProcessStartInfo(program), [.. report, (byte)'\n'], ExecLimit, file.Id, stop);
    }

    private IEnumerable<string> ConfigArguments => options.ConfigFile is string file ? ["--config", file] : [];

    private async Task<bool> RunAsync(string name, ProcessStartInfo start, byte[] input, TimeSpan limit, string id, CancellationToken stop)
    {
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(stop);
        deadline.CancelAfter(limit);
        Process process;
        try
        {
            process = Process.Start(start) ?? throw new InvalidOperationException(start.FileName);
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            log.ProgramFailed(id, name, e.Message);
            return false;
        }
        using Process running = process;
        try
        {
            Task<string> error = ReadAsync(process.StandardError, deadline.Token);
            Task<string> output = ReadAsync(process.StandardOutput, deadline.Token);
            await GiveAsync(process, input, deadline.Token).ConfigureAwait(false);
            await process.WaitForExitAsync(deadline.Token).ConfigureAwait(false);
            if (process.ExitCode == 0)
            {
                return true;
            }
            string said = TerminalText.Escape((await error.ConfigureAwait(false) + await output.ConfigureAwait(false)).Trim());
            log.ProgramFailed(id, name, $"it ended with {process.ExitCode}: {said}");
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            stop.ThrowIfCancellationRequested();
            log.ProgramFailed(id, name, $"it did not end within {Units.Duration(limit)} and was killed");
        }
        return false;
    }

    private static async Task GiveAsync(Process process, byte[] input, CancellationToken stop)
    {
        try
        {
            await process.StandardInput.BaseStream.WriteAsync(input, stop).AsTask().WaitAsync(stop).ConfigureAwait(false);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It does not want it.
        }
    }

    /// <summary>The beginning; the rest is read and dropped, so that nobody waits for us.</summary>
    private static async Task<string> ReadAsync(StreamReader reader, CancellationToken stop)
    {
        StringBuilder kept = new();
        char[] buffer = new char[1024];
        try
        {
            while (await reader.ReadAsync(buffer, stop).ConfigureAwait(false) is > 0 and int read)
            {
                kept.Append(buffer, 0, Math.Min(read, MostOutput - kept.Length));
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // Killed, or too late: what there is will do.
        }
        return kept.ToString();
    }
}
