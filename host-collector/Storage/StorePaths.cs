using System.Globalization;

namespace VsockPair.Storage;

/// <summary>
/// Names of the store (README, "The store"). Numbers in file names have 20 digits, so that names sort as they came.
/// Every part comes from validated values of the host's own: a guest never chooses one.
/// </summary>
public static class StorePaths
{
    public const string SegmentSuffix = ".pages";
    public const string KmsgSuffix = ".kmsg";

    /// <summary>Added to the name of a segment once it is compressed.</summary>
    public const string CompressedSuffix = ".zst";

    /// <summary>Added to the name of a segment or kmsg file once it is closed; a segment's keeps its name when the segment is compressed.</summary>
    public const string SummarySuffix = ".sum";

    public const string RingSuffix = ".json";

    public static string Metadata(string store) => Path.Combine(store, "metadata");

    public static string Identity(string store) => Path.Combine(store, "identity");

    public static string Cases(string store) => Path.Combine(store, "cases");

    public static string Vmlinux(string store, string buildId) => Path.Combine(store, "vmlinux", buildId);

    public static string Guests(string store) => Path.Combine(store, "guests");

    public static string Guest(string store, string name) => Path.Combine(Guests(store), name);

    public static string ControlSocket(string store) => Path.Combine(store, "control.sock");

    public static string WatchSocket(string store) => Path.Combine(store, "watch.sock");

    public static string GuestRecord(string guest) => Path.Combine(guest, "guest.json");

    /// <summary>Of a guest: what retention removed. Of a boot: all other losses.</summary>
    public static string Losses(string guestOrBoot) => Path.Combine(guestOrBoot, "losses.jsonl");

    public static string Boots(string guest) => Path.Combine(guest, "boots");

    /// <param name="life">0 for the first life of this boot id, which has no suffix.</param>
    public static string Boot(string guest, Guid bootId, int life) =>
        Path.Combine(Boots(guest), life == 0 ? bootId.ToString() : string.Create(CultureInfo.InvariantCulture, $"{bootId}.{life}"));

    public static bool TryParseBootName(ReadOnlySpan<char> name, out Guid bootId, out int life)
    {
        life = 0;
        int dot = name.IndexOf('.');
        return Guid.TryParseExact(dot < 0 ? name : name[..dot], "D", out bootId)
            && (dot < 0 || int.TryParse(name[(dot + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out life));
    }

    public static string BootRecord(string boot) => Path.Combine(boot, "boot.json");

    public static string Clock(string boot) => Path.Combine(boot, "clock.jsonl");

    public static string Trace(string boot) => Path.Combine(boot, "trace");

    public static string Vcpu(string boot, int vcpu) => Path.Combine(Trace(boot), StreamName(vcpu));

    public static string Rings(string boot) => Path.Combine(boot, "rings");

    public static string Ring(string boot, int vcpu) => Path.Combine(Rings(boot), StreamName(vcpu) + RingSuffix);

    public static string Kmsg(string boot) => Path.Combine(boot, "kmsg");

    /// <summary>What this boot's agent found in the persistent ring of the boot before.</summary>
    public static string Previous(string boot) => Path.Combine(boot, "previous");

    public static string PreviousVcpu(string boot, int vcpu) => Path.Combine(Previous(boot), StreamName(vcpu));

    public static string Pstore(string boot) => Path.Combine(boot, "pstore");

    /// <summary>A vCPU's stream as the ledger names it.</summary>
    public static string StreamName(int vcpu) => string.Create(CultureInfo.InvariantCulture, $"cpu{vcpu}");

    /// <summary>The other way round.</summary>
    public static bool TryParseStream(string name, out int vcpu)
    {
        vcpu = 0;
        return name.StartsWith("cpu", StringComparison.Ordinal) && int.TryParse(name.AsSpan(3), NumberStyles.None, CultureInfo.InvariantCulture, out vcpu);
    }

    public static string SegmentName(ulong firstTimeStamp, int subBufferBytes) =>
        string.Create(CultureInfo.InvariantCulture, $"{firstTimeStamp:D20}-{subBufferBytes}{SegmentSuffix}");

    public static string KmsgName(ulong firstSequence) => string.Create(CultureInfo.InvariantCulture, $"{firstSequence:D20}{KmsgSuffix}");

    public static bool TryParseSegmentName(ReadOnlySpan<char> name, out ulong firstTimeStamp, out int subBufferBytes)
    {
        firstTimeStamp = 0;
        subBufferBytes = 0;
        return name.EndsWith(SegmentSuffix, StringComparison.Ordinal) && name.Length > 21 && name[20] == '-'
            && ulong.TryParse(name[..20], NumberStyles.None, CultureInfo.InvariantCulture, out firstTimeStamp)
            && int.TryParse(name[21..^SegmentSuffix.Length], NumberStyles.None, CultureInfo.InvariantCulture, out subBufferBytes);
    }

    public static bool TryParseKmsgName(ReadOnlySpan<char> name, out ulong firstSequence)
    {
        firstSequence = 0;
        return name.EndsWith(KmsgSuffix, StringComparison.Ordinal) && name.Length == 20 + KmsgSuffix.Length
            && ulong.TryParse(name[..20], NumberStyles.None, CultureInfo.InvariantCulture, out firstSequence);
    }
}
