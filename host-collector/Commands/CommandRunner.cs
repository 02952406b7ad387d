using System.CommandLine;
using VsockPair.Linux;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary>Runs one command line and turns whatever ends it into an exit code and a line for the person who typed it.</summary>
internal static class CommandRunner
{
    public static async Task<int> RunAsync(RootCommand root, string[] args, TextWriter output, TextWriter error, CancellationToken stop)
    {
        // Each vCPU that is received, followed or exported has a file open, and shells and services begin with 1024. A refusal leaves the limit as it was.
        _ = Sys.SetDescriptorLimit(ulong.MaxValue);
        try
        {
            ParseResult parsed = root.Parse(args, new ParserConfiguration { EnablePosixBundling = false, ResponseFileTokenReplacer = null });
            if (parsed.Errors.Count > 0 && parsed.Action is not PrintVersion and not System.CommandLine.Help.HelpAction)
            {
                foreach (var fault in parsed.Errors)
                {
                    error.WriteLine($"vsockpair: {TerminalText.Escape(fault.Message)}");
                }
                error.WriteLine("vsockpair --help shows the commands, vsockpair COMMAND --help its options");
                return ExitCode.Usage;
            }
            // No time-out: Microsoft.Extensions.Hosting takes SIGTERM for serve, and any other command simply ends.
            InvocationConfiguration invocation = new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null, Output = output, Error = error };
            int exitCode = await parsed.InvokeAsync(invocation, stop);
            output.Flush();
            return exitCode;
        }
        catch (CommandFailure e)
        {
            try
            {
                output.Flush();
            }
            catch (LinuxException p) when (p.Errno == Errno.EPIPE)
            {
                // As below; what is wrong is said all the same.
            }
            // A fault of the configuration begins with its own place.
            error.WriteLine(e.ExitCode == ExitCode.BadConfiguration ? e.Message : $"vsockpair: {e.Message}");
            return e.ExitCode;
        }
        catch (LinuxException e) when (e.Errno == Errno.EPIPE)
        {
            // Who reads our output has seen enough.
            return ExitCode.Done;
        }
        catch (IOException e) when (e.HResult == Errno.EMFILE)
        {
            error.WriteLine($"vsockpair: {TerminalText.Escape(e.Message)}; each vCPU needs one: raise the hard limit (ulimit -Hn, LimitNOFILE= of a unit), or choose vCPUs with --cpu");
            return ExitCode.Failed;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            error.WriteLine($"vsockpair: {TerminalText.Escape(e.Message)}");
            return ExitCode.Failed;
        }
    }
}
