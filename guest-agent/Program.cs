using VsockPair.GuestAgent;
using VsockPair.GuestAgent.Configuration;
using VsockPair.GuestAgent.Connections;
using VsockPair.GuestAgent.Checks;

// vsockpair-agent: this guest's trace, kernel log and crash records → the collector on its host.
//
//   Configuration/  what can be set, and the command line
//   Agent           what was found in the guest; ConnectLoop → AgentSession: the control connection, on the main thread
//   Tracing/        TraceInstance (the ring) → CpuStream (a thread per vCPU) → RecordStage (splice or read) → bulk connection
//   Kmsg/           KmsgReader → KmsgStream → kmsg connection
//   Files/          FileOffers: Metadata/ and Pstore/ over the control connection
//   Checks/         would a crash be caught? For "check", and for the host
//   Connections/    SessionStream, the life of a stream's thread; handshake, frames, the probe of the path

CommandLine commandLine = CommandLine.Parse(args, Environment.GetEnvironmentVariables());
if (commandLine.UsageFaults.Count > 0)
{
    commandLine.UsageFaults.ForEach(AgentLog.Error);
    AgentLog.Error("try --help");
    return ExitCode.Usage;
}
switch (commandLine.Command)
{
    case AgentCommand.Help:
        StandardOutput.WriteLine(CommandLine.Usage);
        return ExitCode.Done;
    case AgentCommand.Version:
        StandardOutput.WriteLine($"vsockpair-agent {AgentVersionText.Value}");
        return ExitCode.Done;
    default:
        break;
}
if (commandLine.ConfigurationFaults.Count > 0)
{
    commandLine.ConfigurationFaults.ForEach(AgentLog.Error);
    return ExitCode.Configuration;
}

try
{
    GuestPaths paths = new();
    AgentOptions options = commandLine.Options;
    VsockConnector host = new(options.Host);
    if (commandLine.Command == AgentCommand.Check)
    {
        return CheckCommand.Run(options, paths, host, commandLine.Json);
    }
    GuestIdentity identity = GuestIdentity.Read(paths);
    using StopRequest stop = new();
    stop.OnSignals();
    using AgentState? state = AgentState.Open(paths.State, identity.BootId);
    if (state is null)
    {
        AgentLog.Error($"another vsockpair-agent is running in this guest (it holds {paths.State}/lock)");
        return ExitCode.Failed;
    }
    using Agent agent = Agent.Start(options, paths, identity, state, host, stop, new Timings());
    new ConnectLoop(agent).Run();
    AgentLog.Info("stopped");
    return ExitCode.Done;
}
#pragma warning disable CA1031 // The last stop: whatever it was is said, and the exit code tells the service manager to start anew.
catch (Exception e)
#pragma warning restore CA1031
{
    AgentLog.Error($"failed: {e.Message}");
    return ExitCode.Failed;
}
