using System.Globalization;
using VsockPair.Configuration;
using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Tracing;

namespace VsockPair.GuestAgent.Configuration;

/// <summary>Sets one option from its text, the same for configuration files, environment and command line.</summary>
internal static class OptionSetting
{
    private const int LongestFlushSeconds = 3600;

    /// <returns>Null, or what is wrong with <paramref name="value"/>.</returns>
    public static string? Apply(AgentOptions options, string key, string value)
    {
        switch (key)
        {
            case "Collector.Address":
                if (!VsockAddress.TryParse(value, out VsockAddress host) || host.Cid == Constants.VMADDR_CID_ANY || host.Port is 0 or Constants.VMADDR_PORT_ANY)
                {
                    return $"\"{value}\" is no vsock address: write CID:PORT, e.g. 2:829";
                }
                options.Host = host;
                return null;
            case "Trace.Events":
                return ApplyEvents(value, events => options.Events = events);
            case "PersistentRing.Events":
                return ApplyEvents(value, events => options.PersistentEvents = events);
            case "Trace.BufferKb":
                if (!int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int kb) || kb is < Wire.MinTraceBufferKb or > Wire.MaxTraceBufferKb)
                {
                    return $"\"{value}\" is no buffer size: write KiB per vCPU, {Wire.MinTraceBufferKb} to {Wire.MaxTraceBufferKb}";
                }
                options.BufferKb = kb;
                return null;
            case "Trace.Flush":
                if (!Quantity.TryParseTime(value, out TimeSpan flush) || flush < TimeSpan.FromSeconds(1) || flush > TimeSpan.FromSeconds(LongestFlushSeconds))
                {
                    return $"\"{value}\" is no flush time: write seconds, 1 to {LongestFlushSeconds}";
                }
                options.Flush = flush;
                return null;
            case "Control.AllowTrace":
                return ApplySwitch(value, on => options.AllowTrace = on);
            case "Control.AllowTracers":
                return ApplySwitch(value, on => options.AllowTracers = on);
            case "Control.AllowDynamicDebug":
                return ApplySwitch(value, on => options.AllowDynamicDebug = on);
            case "Pstore.RemoveAcknowledged":
                return ApplySwitch(value, on => options.RemoveAcknowledged = on);
            default:
                return "there is no such setting";
        }
    }

    private static string? ApplyEvents(string value, Action<string[]> set)
    {
        string[] events = value.Split([' ', '\t', ','], StringSplitOptions.RemoveEmptyEntries);
        if (Array.Find(events, e => !TraceNames.IsEvent(e)) is string bad)
        {
            return $"\"{bad}\" is no event: write SYSTEM or SYSTEM:EVENT, e.g. sched:sched_switch";
        }
        set(events);
        return null;
    }

    private static string? ApplySwitch(string value, Action<bool> set)
    {
        if (!Quantity.TryParseSwitch(value, out bool on))
        {
            return $"\"{value}\" is neither yes nor no";
        }
        set(on);
        return null;
    }
}
