using System.Text;
using VsockPair.GuestAgent.Configuration;
using VsockPair.GuestAgent.Connections;
using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Checks;

/// <summary><c>vsockpair-agent check</c>: what a session tells the host as well, for whoever is in the guest; and whether the host's collector answers.</summary>
internal static class CheckCommand
{
    private const int NameWidth = 16;

    public static int Run(AgentOptions options, GuestPaths paths, IHostConnector host, bool json)
    {
        List<ReadinessCheck> checks = GuestReadiness.Look(paths);
        checks.Add(Collector(options, paths, host));
        checks = GuestReadiness.WrongFirst(checks);
        int missing = checks.FindAll(c => c.State == CheckState.Missing).Count;
        StandardOutput.WriteLine(json ? ToJson(checks, missing) : ToText(checks, missing));
        return missing == 0 ? ExitCode.Done : ExitCode.Failed;
    }

    internal static string ToText(List<ReadinessCheck> checks, int missing)
    {
        StringBuilder text = new();
        foreach (ReadinessCheck check in checks)
        {
            string state = check.State switch { CheckState.Missing => "MISSING", CheckState.Ok => "ok     ", _ => "-      " };
            text.Append(state).Append("  ").Append(check.Check.PadRight(NameWidth)).Append("  ").Append(check.Text);
            if (check.Fix.Length > 0)
            {
                text.Append("; to mend it: ").Append(check.Fix);
            }
            text.Append('\n');
        }
        return text.Append(missing == 0 ? "a crash of this guest would be caught, as far as this guest is concerned" : $"missing: {missing} of {checks.Count}").ToString();
    }

    internal static string ToJson(List<ReadinessCheck> checks, int missing)
    {
        StringBuilder json = new(missing == 0 ? "{\"ok\":true,\"checks\":[" : "{\"ok\":false,\"checks\":[");
        for (int i = 0; i < checks.Count; i++)
        {
            ReadinessCheck check = checks[i];
            json.Append(i == 0 ? "{\"check\":" : ",{\"check\":");
            AppendQuoted(json, check.Check);
            json.Append(",\"ok\":").Append(check.State switch { CheckState.Missing => "false", CheckState.Ok => "true", _ => "null" }).Append(",\"text\":");
            AppendQuoted(json, check.Text);
            json.Append(",\"fix\":");
            AppendQuoted(json, check.Fix);
            json.Append('}');
        }
        return json.Append("]}").ToString();
    }

    /// <summary>Opens a connection and closes it: a collector takes no offence at one that says nothing.</summary>
    private static ReadinessCheck Collector(AgentOptions options, GuestPaths paths, IHostConnector host)
    {
        const string Name = "collector";
        if (!File.Exists(paths.Vsock))
        {
            return GuestReadiness.Missing(
                Name, "no /dev/vsock: nothing can be sent to the host", "on the host: -device vhost-vsock-pci,guest-cid=N (libvirt: <vsock model='virtio'/>); in the guest: modprobe vmw_vsock_virtio_transport");
        }
        try
        {
            host.Connect(ConnectionKind.Kmsg).Dispose();
            return GuestReadiness.Ok(Name, $"{host.Target} answers");
        }
        catch (LinuxException e)
        {
            return GuestReadiness.Missing(Name, $"{host.Target} does not answer: {e.Message}", $"on the host: vsockpair serve, listening on port {options.Host.Port}");
        }
    }

    private static void AppendQuoted(StringBuilder json, string text)
    {
        json.Append('"');
        foreach (char c in text)
        {
            if (c is '"' or '\\')
            {
                json.Append('\\').Append(c);
            }
            else if (c < ' ')
            {
                json.Append("\\u00").Append("0123456789abcdef"[c >> 4]).Append("0123456789abcdef"[c & 0xF]);
            }
            else
            {
                json.Append(c);
            }
        }
        json.Append('"');
    }
}
