using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using VsockPair.Export;
using VsockPair.Options;
using VsockPair.Text;
using VsockPair.Tracing;

namespace VsockPair.Commands;

/// <summary>Options that more than one command has, and how their values are read.</summary>
internal sealed class CommandLine(bool colours)
{
    private const string GuestClock = "guest";
    private const string HostClock = "host";

    public static string Version { get; } = $"vsockpair {typeof(CommandLine).Assembly.GetName().Version?.ToString(3)}";

    public Option<string?> Config { get; } = new("--config")
    {
        Description = $"Configuration file, with FILE.d/*.conf after it (default {CollectorOptions.DefaultConfig})", HelpName = "FILE", Recursive = true,
    };

    public Option<string> Store { get; } = new("--store")
    {
        Description = "Folder of the store", HelpName = "DIR", Recursive = true, DefaultValueFactory = _ => CollectorOptions.DefaultStore,
    };

    public Option<bool> Json { get; } = new("--json") { Description = "For programs: JSON" };

    public Option<TimePoint?> Since { get; } = TimeOption("--since", "-S", "From then on");

    public Option<TimePoint?> Until { get; } = TimeOption("--until", "-U", "Up to then");

    public Option<string?> Boot { get; } = new("--boot", "-b") { Description = "Only this boot: the beginning of its id, 0 for the newest, -1 for the one before", HelpName = "ID|-1" };

    public Option<bool> Follow { get; } = new("--follow", "-f") { Description = "Go on as records arrive, also after a reboot" };

    public Option<int[]> Cpu { get; } = new("--cpu")
    {
        Description = "Only this vCPU; may be given more than once", HelpName = "N", Validators = { RefuseNegative },
    };

    public Option<string[]> Event { get; } = new("--event", "-e") { Description = "Only these events; may be repeated; * and ? allowed", HelpName = "SYSTEM[:EVENT]" };

    public Option<string?> OutputFile { get; } = new("--output", "-o")
    {
        Description = "Where to, - for standard output (not dat); the suffix says the format (default ./NAME-UTC.dat, of a case ./ID.tar.zst)", HelpName = "FILE",
    };

    public Option<ExportFormat?> Format { get; } = FormatOption();

    public Option<string> Clock { get; } = ClockOption();

    public Option<string?> HostTrace { get; } = new("--host-trace")
    {
        Description = "Time stamps of this trace.dat of the host's, recorded with trace-cmd record -C mono: trace-cmd report -i FILE -i EXPORT shows both in one order",
        HelpName = "FILE",
    };

    public Option<ListenSpec[]> Listen { get; } = new("--listen")
    {
        Description = $"Where to listen, instead of the configured places: {ListenSpec.Forms}",
        HelpName = "SPEC",
        AllowMultipleArgumentsPerToken = true,
        CustomParser = ParseSpecs,
    };

    public Option<QmpSpec[]> Qmp { get; } = QmpOption("--qmp", "QMP socket of a machine, instead of the configured ones; may be repeated", QmpSpec.SocketForm, QmpSpec.TryParseSocket);

    public Option<QmpSpec[]> QmpDir { get; } = QmpOption(
        "--qmp-dir", "QMP sockets of all machines, also of those that come later, instead of the configured ones; may be repeated", QmpSpec.TemplateForm, QmpSpec.TryParseTemplate);

    public Option<string?> Libvirt { get; } = new("--libvirt") { Description = "Every domain of this libvirt connection", HelpName = "URI" };

    public Option<string?> Exec { get; } = new("--exec") { Description = "Program to run for each case, with the case as JSON on its standard input", HelpName = "PROGRAM" };

    public Option<bool> Yes { get; } = new("--yes", "-y") { Description = "Do not ask" };

    public Argument<string> Guest { get; } = new("NAME") { Description = "A guest, as guests shows it", Validators = { RefuseOption } };

    public Argument<string> GuestOrCase { get; } = new("NAME|ID") { Description = "A guest, as guests shows it, or a case, as cases shows it", Validators = { RefuseOption } };

    public Argument<string?> OptionalGuest { get; } =
        new("NAME") { Description = "One guest, in detail", Arity = ArgumentArity.ZeroOrOne, Validators = { RefuseOption } };

    public Argument<string> Case { get; } = new("ID") { Description = "A case, as cases shows it, or last", Validators = { RefuseOption } };

    public Argument<string?> OptionalCase { get; } =
        new("ID") { Description = "One case, or last, in detail", Arity = ArgumentArity.ZeroOrOne, Validators = { RefuseOption } };

    public Option<bool> Print { get; } = new("--print") { Description = "Only show the command line" };

    public Option<bool> Final { get; } = new("--final") { Description = "Nothing more is waited for" };

    public Option<bool> WithMemory { get; } = new("--memory") { Description = "Of a case: with the guest's memory, and all the secrets in it" };

    /// <exception cref="CommandFailure">Options that do not go together.</exception>
    public KmsgRequest KmsgOf(ParseResult parsed)
    {
        KmsgRequest request = new(parsed.GetRequiredValue(Guest), SelectionOf(parsed), parsed.GetValue(Follow), parsed.GetValue(Json));
        return request is { Follow: true, Selection.Until: not null }
            ? throw new CommandFailure(ExitCode.Usage, "-f has no end, so it takes no --until; leave one of them out")
            : request;
    }

    public LossesRequest LossesOf(ParseResult parsed) => new(parsed.GetRequiredValue(Guest), SelectionOf(parsed), parsed.GetValue(Json));

    /// <exception cref="CommandFailure">What should name an event does not.</exception>
    public TailRequest TailOf(ParseResult parsed)
    {
        string[] events = parsed.GetValue(Event) ?? [];
        string? wrong = events.FirstOrDefault(e => !TraceNames.IsEvent(e));
        return wrong is null
            ? new TailRequest(parsed.GetRequiredValue(Guest), parsed.GetValue(Cpu) ?? [], events, parsed.GetValue(Json))
            : throw new CommandFailure(ExitCode.Usage, $"-e {TerminalText.Escape(wrong)}: write SYSTEM or SYSTEM:EVENT, e.g. sched:sched_switch");
    }

    public ExportRequest ExportOf(ParseResult parsed) => new(
        parsed.GetRequiredValue(GuestOrCase), SelectionOf(parsed), parsed.GetValue(Cpu) ?? [], parsed.GetValue(OutputFile), parsed.GetValue(Format),
        parsed.GetValue(Clock) == HostClock, parsed.GetValue(HostTrace), parsed.GetValue(WithMemory));

    private Selection SelectionOf(ParseResult parsed) => new(parsed.GetValue(Since), parsed.GetValue(Until), parsed.GetValue(Boot));

    /// <summary>The configuration with what the command line says over it.</summary>
    /// <exception cref="CommandFailure">The configuration has faults: all of them, one a line.</exception>
    public CollectorOptions OptionsOf(ParseResult parsed)
    {
        CollectorOptions options = OptionsReader.Read(parsed.GetValue(Config), Environment.GetEnvironmentVariables(), out IReadOnlyList<string> faults)
            ?? throw new CommandFailure(ExitCode.BadConfiguration, string.Join('\n', faults));
        ListenSpec[]? specs = parsed.GetValue(Listen);
        return options with
        {
            StoreDirectory = Path.GetFullPath(parsed.GetRequiredValue(Store)),
            Listen = specs is { Length: > 0 } ? options.Listen with { Specs = specs } : options.Listen,
            ConfigFile = parsed.GetValue(Config),
        };
    }

    /// <summary>For <c>watch</c>.</summary>
    /// <exception cref="CommandFailure">The configuration has faults, or says of no machine.</exception>
    public CollectorOptions WatchOptionsOf(ParseResult parsed)
    {
        CollectorOptions options = OptionsOf(parsed);
        QmpSpec[] specs = [.. parsed.GetValue(Qmp) ?? [], .. parsed.GetValue(QmpDir) ?? []];
        return options with
        {
            Watch = options.Watch with
            {
                Qmp = specs.Length > 0 ? specs : options.Watch.Qmp,
                Libvirt = parsed.GetValue(Libvirt) ?? options.Watch.Libvirt,
                Exec = parsed.GetValue(Exec) is string program ? Path.GetFullPath(program) : options.Watch.Exec,
            },
        };
    }

    /// <summary>Reading commands need no configuration, and must work beside a broken one; but a file that was named is looked at.</summary>
    public CommandContext ContextOf(ParseResult parsed, TextWriter output, TextWriter error)
    {
        if (parsed.GetValue(Config) is not null)
        {
            OptionsOf(parsed);
        }
        return new CommandContext(Path.GetFullPath(parsed.GetRequiredValue(Store)), output, error, TimeProvider.System) { HasColours = colours };
    }

    /// <summary>Commands about cases need to know where a vmlinux may be; they too work beside a broken configuration.</summary>
    public CommandContext CaseContextOf(ParseResult parsed, TextWriter output, TextWriter error)
    {
        CommandContext context = ContextOf(parsed, output, error);
        CollectorOptions? options = OptionsReader.Read(parsed.GetValue(Config), Environment.GetEnvironmentVariables(), out IReadOnlyList<string> faults);
        if (options is null)
        {
            error.WriteLine($"the configuration has faults, so [Watch] Vmlinux and Debuginfod are not known: {faults[0]}");
        }
        return context with { Watch = options?.Watch ?? new WatchOptions() };
    }

    private static Option<TimePoint?> TimeOption(string name, string alias, string description) => new(name, alias)
    {
        Description = $"{description}: {TimePoint.Forms}",
        HelpName = "TIME",
        CustomParser = result =>
        {
            TimePoint? point = TimePoint.TryParse(result.Tokens[0].Value);
            if (point is null)
            {
                result.AddError($"{name}: \"{result.Tokens[0].Value}\" is no time; write {TimePoint.Forms}");
            }
            return point;
        },
    };

    private static Option<string> ClockOption()
    {
        Option<string> option = new("--clock")
        {
            Description = "Time stamps of the guest's trace clock, or of the host's realtime, which several guests share", DefaultValueFactory = _ => GuestClock,
        };
        return option.AcceptOnlyFromAmong(GuestClock, HostClock);
    }

    private static Option<ExportFormat?> FormatOption()
    {
        Option<ExportFormat?> option = new("--format")
        {
            Description = $"Where the file has no suffix that says it: {ExportFormat.Names}",
            HelpName = "FORMAT",
            CustomParser = result =>
            {
                ExportFormat? format = ExportFormat.TryFind(result.Tokens[0].Value);
                if (format is null)
                {
                    result.AddError($"--format: there is no {result.Tokens[0].Value}; it is one of {ExportFormat.Names}");
                }
                return format;
            },
        };
        option.CompletionSources.Add([.. ExportFormat.All.Select(f => f.Name)]);
        return option;
    }

    private static void RefuseNegative(OptionResult result)
    {
        if (result.Tokens.Any(t => t.Value.StartsWith('-')))
        {
            result.AddError("--cpu: vCPUs are counted from 0");
        }
    }

    /// <summary>The parser takes an option it does not know for the name of a guest.</summary>
    private static void RefuseOption(ArgumentResult result)
    {
        string? unknown = result.Tokens.Select(t => t.Value).FirstOrDefault(v => v.StartsWith('-'));
        if (unknown is not null)
        {
            result.AddError($"there is no option {unknown}");
        }
    }

    private static Option<QmpSpec[]> QmpOption(string name, string description, string form, QmpSpec.Parser parse) => new(name)
    {
        Description = description,
        HelpName = form,
        CustomParser = result =>
        {
            List<QmpSpec> specs = [];
            foreach (Token token in result.Tokens)
            {
                if (parse(token.Value, out string fault) is QmpSpec spec)
                {
                    specs.Add(spec);
                }
                else
                {
                    result.AddError($"{name} {fault}");
                }
            }
            return [.. specs];
        },
    };

    private static ListenSpec[] ParseSpecs(ArgumentResult result)
    {
        List<ListenSpec> specs = [];
        foreach (Token token in result.Tokens)
        {
            ListenSpec? spec = ListenSpec.TryParse(token.Value, out string fault);
            if (spec is null)
            {
                result.AddError($"--listen {fault}");
                return [];
            }
            specs.Add(spec);
        }
        return [.. specs];
    }
}

/// <summary><c>--version</c>.</summary>
internal sealed class PrintVersion(TextWriter output) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        output.WriteLine(CommandLine.Version);
        return ExitCode.Done;
    }
}
