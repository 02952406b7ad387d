using System.Text;

namespace VsockPair.TestKit.Vm;

/// <summary>How a command in a guest ended, and every byte it wrote.</summary>
public sealed record CommandResult(string Command, int ExitCode, byte[] Output, byte[] Error)
{
    public string Text => Encoding.UTF8.GetString(Output);

    public string ErrorText => Encoding.UTF8.GetString(Error);

    /// <summary>This result, or an exception with what the command wrote.</summary>
    public CommandResult EnsureSuccess() => ExitCode == 0
        ? this
        : throw new GuestException($"'{Command}' in the guest ended with exit code {ExitCode}:\n{Text}{ErrorText}");
}
