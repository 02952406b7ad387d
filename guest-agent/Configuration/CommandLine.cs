using VsockPair.Configuration;

namespace VsockPair.GuestAgent.Configuration;

internal enum AgentCommand
{
    Run,
    Check,
    Help,
    Version,
}

/// <summary>
/// What the user asked for. Later sources win: configuration file, its drop-ins, environment, command line; <c>--event</c> replaces the configured list.
/// </summary>
internal sealed class CommandLine
{
    public const string Usage = """
        usage: vsockpair-agent [run] [--config FILE] [--host CID:PORT] [--event SYSTEM[:EVENT]]... [--buffer-kb N] [--flush SECONDS]
               vsockpair-agent check [--json] [--config FILE] [--host CID:PORT]
               vsockpair-agent --version | --help

        Sends this guest's kernel trace, kernel log and crash records to the collector on its host.
        check: would a crash of this guest be caught? What is missing comes first, with what mends it. Exits with 1 when something is missing.

          --config FILE           default /etc/vsockpair/agent.conf, with its drop-ins in agent.conf.d/
          --host CID:PORT         the collector's vsock address, default 2:829
          --event SYSTEM[:EVENT]  record this instead of the configured events; may be repeated; * and ? allowed
          --buffer-kb N           trace ring per vCPU in KiB
          --flush SECONDS         how long the events of a quiet vCPU may wait, default 1
          --json                  for programs: {"ok":…,"checks":[{"check":…,"ok":…,"text":…,"fix":…}]}; ok is null for what need not be there
        """;

    public AgentCommand Command { get; init; }

    public AgentOptions Options { get; init; } = new();

    /// <summary>Of <see cref="AgentCommand.Check"/>.</summary>
    public bool Json { get; init; }

    /// <summary>Wrong use of the command line, one line each: exit 2.</summary>
    public List<string> UsageFaults { get; init; } = [];

    /// <summary>Wrong configuration, one line each: exit 78.</summary>
    public List<string> ConfigurationFaults { get; init; } = [];

    public static CommandLine Parse(IReadOnlyList<string> arguments, System.Collections.IDictionary environment)
    {
        List<string> usageFaults = [];
        List<(string Key, string Value, string Name)> settings = [];
        List<string> events = [];
        string? file = null;
        AgentCommand command = AgentCommand.Run;
        bool json = false;
        for (int i = 0; i < arguments.Count; i++)
        {
            string name = arguments[i];
            if (name == "run" && i == 0)
            {
                continue;
            }
            if (name == "check" && i == 0)
            {
                command = AgentCommand.Check;
                continue;
            }
            if (name == "--json" && command == AgentCommand.Check)
            {
                json = true;
                continue;
            }
            if (name is "--help" or "-h" or "--version")
            {
                command = name == "--version" ? AgentCommand.Version : AgentCommand.Help;
                continue;
            }
            string? key = name switch
            {
                "--config" => "",
                "--host" => "Collector.Address",
                "--event" => "Trace.Events",
                "--buffer-kb" => "Trace.BufferKb",
                "--flush" => "Trace.Flush",
                _ => null,
            };
            if (key is null)
            {
                usageFaults.Add($"\"{name}\" is not known");
                continue;
            }
            if (i + 1 == arguments.Count)
            {
                usageFaults.Add($"{name} needs a value");
                break;
            }
            string value = arguments[++i];
            if (name == "--config")
            {
                file = value;
            }
            else if (name == "--event")
            {
                events.Add(value);
            }
            else
            {
                settings.Add((key, value, name));
            }
        }
        if (events.Count > 0)
        {
            settings.Add(("Trace.Events", string.Join(' ', events), "--event"));
        }

        List<string> configurationFaults = [];
        AgentOptions options = new();
        if (command is AgentCommand.Run or AgentCommand.Check)
        {
            ApplyConfiguration(options, file, environment, configurationFaults);
        }
        foreach ((string key, string value, string name) in settings)
        {
            if (OptionSetting.Apply(options, key, value) is string fault)
            {
                usageFaults.Add($"{name}: {fault}");
            }
        }
        return new CommandLine { Command = command, Options = options, Json = json, UsageFaults = usageFaults, ConfigurationFaults = configurationFaults };
    }

    private static void ApplyConfiguration(AgentOptions options, string? file, System.Collections.IDictionary environment, List<string> faults)
    {
        if (file is not null && !File.Exists(file))
        {
            faults.Add($"{file}: there is no such file");
        }
        List<IniEntry> entries = [.. IniFile.Load(file ?? AgentOptions.DefaultFile, faults), .. IniFile.FromEnvironment(environment)];
        foreach (IniEntry entry in entries)
        {
            if (OptionSetting.Apply(options, $"{entry.Section}.{entry.Key}", entry.Value) is string fault)
            {
                faults.Add($"{entry.Origin}: [{entry.Section}] {entry.Key}: {fault}");
            }
        }
    }
}
