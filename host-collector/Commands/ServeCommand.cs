using VsockPair.Options;

namespace VsockPair.Commands;

/// <summary><c>vsockpair serve</c>.</summary>
internal static class ServeCommand
{
    public static Task<int> RunAsync(CollectorOptions options, CancellationToken stop) =>
        throw new CommandFailure(ExitCode.Failed, "this build has no collector");
}
