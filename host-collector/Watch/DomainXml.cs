using System.Globalization;
using VsockPair.Listening;
using VsockPair.Storage;

namespace VsockPair.Watch;

/// <summary>What matters here of a domain's live XML: the guest's CID, what libvirt does when it panics, and what a crash needs.</summary>
internal sealed record DomainXml(uint? Cid, string OnCrash, bool HasPanicDevice, bool HasVmcoreinfo)
{
    public const string Preserve = "preserve";

    private const string CoredumpPrefix = "coredump-";

    /// <summary>A domain without the element; libvirt always writes it.</summary>
    private const string DefaultOnCrash = "destroy";

    /// <summary>libvirt takes the memory by itself.</summary>
    public bool IsDumpedByLibvirt => OnCrash.StartsWith(CoredumpPrefix, StringComparison.Ordinal);

    /// <exception cref="MachineException">It is no XML.</exception>
    public static DomainXml Parse(string text)
    {
        DomainXml found = new(null, DefaultOnCrash, false, false);
        try
        {
            XmlTags tags = new(text);
            while (tags.Read())
            {
                found = found.With(ref tags);
            }
        }
        catch (FormatException e)
        {
            throw new MachineException($"libvirt's XML of the domain cannot be read: {e.Message}", e);
        }
        return found;
    }

    /// <param name="domain">As an argument of virsh.</param>
    public IEnumerable<CheckRecord> Checks(string domain)
    {
        yield return OnCrash == Preserve
            ? new CheckRecord(HostChecks.PanicAction, true, "libvirt keeps the guest as it is when it panics (on_crash is preserve)", "")
            : new CheckRecord(HostChecks.PanicAction, false, Loss, PreserveCommand(domain));
        yield return HasPanicDevice
            ? new CheckRecord(HostChecks.Pvpanic, true, "the domain has a panic device", "")
            : new CheckRecord(HostChecks.Pvpanic, false, "the domain has no panic device: nobody is told of a panic", $"virsh edit {domain}: <panic model='isa'/> in <devices>, and a new start");
        yield return HasVmcoreinfo
            ? new CheckRecord(HostChecks.Vmcoreinfo, true, "the domain has a vmcoreinfo device", "")
            : new CheckRecord(HostChecks.Vmcoreinfo, false, "the domain has no vmcoreinfo device: its memory says less about its kernel", $"virsh edit {domain}: <vmcoreinfo state='on'/> in <features>, and a new start");
    }

    public static string PreserveCommand(string domain) => $"virsh set-lifecycle-action {domain} crash {Preserve} --live --config";

    /// <summary>What is lost of a crash with any other action.</summary>
    private string Loss => IsDumpedByLibvirt
        ? $"libvirt takes the memory itself and ends the guest before it can write its own crash record (on_crash is {OnCrash})"
        : $"libvirt throws the memory away when the guest panics (on_crash is {OnCrash})";

    private DomainXml With(ref XmlTags tags) => (tags.Path, tags.Text) switch
    {
        ("domain/on_crash", string action) => this with { OnCrash = action },
        ("domain/devices/panic", null) => this with { HasPanicDevice = true },
        ("domain/features/vmcoreinfo", null) => this with { HasVmcoreinfo = !tags.TryGetAttribute("state", out string? state) || state == "on" },
        ("domain/devices/vsock/cid", null)
            when tags.TryGetAttribute("address", out string? address) && uint.TryParse(address, NumberStyles.None, CultureInfo.InvariantCulture, out uint cid) && cid > 2 => this with { Cid = cid },
        _ => this,
    };
}
