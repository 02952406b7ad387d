using System.Text.Json;
using VsockPair.Listening;
using VsockPair.Storage;

namespace VsockPair.Watch;

/// <summary>A machine's devices, as far as they matter here: the guest's CID, and what a crash needs.</summary>
internal sealed record QmpDevices(uint? Cid, bool HasPvpanic, bool HasVmcoreinfo)
{
    /// <summary>Where QEMU keeps devices that were given an id, and those that were not.</summary>
    private static readonly string[] Folders = ["/machine/peripheral", "/machine/peripheral-anon"];

    public static async Task<QmpDevices> ReadAsync(QmpClient client, CancellationToken stop)
    {
        QmpDevices devices = new(null, false, false);
        foreach (string folder in Folders)
        {
            byte[] answer = await client.ExecuteAsync(QmpCommand.QomList, json => json.WriteString("path"u8, folder), stop).ConfigureAwait(false);
            foreach (QmpProperty property in (JsonSerializer.Deserialize(answer, QmpJson.Default.IReadOnlyListQmpProperty) ?? []).OfType<QmpProperty>())
            {
                string type = property.Type.StartsWith("child<", StringComparison.Ordinal) ? property.Type["child<".Length..].TrimEnd('>') : "";
                devices = devices with
                {
                    HasPvpanic = devices.HasPvpanic || type is "pvpanic" or "pvpanic-pci" or "pvpanic-mmio",
                    HasVmcoreinfo = devices.HasVmcoreinfo || type == "vmcoreinfo",
                };
                // vhost-vsock-pci, -ccw and their variants. A vhost-user backend alone knows the CID of its guest.
                if (devices.Cid is null && type.StartsWith("vhost-vsock", StringComparison.Ordinal))
                {
                    devices = devices with { Cid = await ReadCidAsync(client, $"{folder}/{property.Name}", stop).ConfigureAwait(false) };
                }
            }
        }
        return devices;
    }

    public IEnumerable<CheckRecord> Checks()
    {
        yield return HasPvpanic
            ? new CheckRecord(HostChecks.Pvpanic, true, "the machine has a pvpanic device", "")
            : new CheckRecord(HostChecks.Pvpanic, false, "the machine has no pvpanic device: nobody is told of a panic", "start QEMU with -device pvpanic-pci");
        yield return HasVmcoreinfo
            ? new CheckRecord(HostChecks.Vmcoreinfo, true, "the machine has a vmcoreinfo device", "")
            : new CheckRecord(HostChecks.Vmcoreinfo, false, "the machine has no vmcoreinfo device: its memory says less about its kernel", "start QEMU with -device vmcoreinfo");
    }

    private static async Task<uint?> ReadCidAsync(QmpClient client, string path, CancellationToken stop)
    {
        byte[] answer = await client.ExecuteAsync(QmpCommand.QomGet, json =>
        {
            json.WriteString("path"u8, path);
            json.WriteString("property"u8, "guest-cid"u8);
        }, stop).ConfigureAwait(false);
        uint cid = JsonSerializer.Deserialize(answer, QmpJson.Default.UInt32);
        return cid > 2 ? cid : null;
    }
}
