using System.Text;
using VsockPair.GuestAgent.Files;
using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>
/// What the boot before left in the persistent ring, as files of this boot: <c>previous-BOOT/cpuN/FIRST-BYTES.pages</c>, named as the store names them, then <c>info</c>,
/// which says that they are all there. Each goes once the collector has it; an empty <c>sent</c> takes the place of <c>info</c>. They lie in memory (<c>/run</c>), so the newest part is kept and no more.
/// </summary>
internal sealed class PreviousTrace
{
    private const string Info = "info";
    private const string Sent = "sent";
    private const string Recording = "recording";
    private const long MostBytes = 32L << 20;
    private const int RamShare = 16;

    private const int MostInfoBytes = 48 << 10;

    private readonly string _folder;
    private readonly long _mostBytes;
    private readonly HashSet<string> _unsent = [];

    public PreviousTrace(string state, Guid bootId, long ramKb)
    {
        _folder = $"{state}/previous-{bootId}";
        _mostBytes = Math.Min(MostBytes, ramKb * 1024 / RamShare);
        if (IsTaken)
        {
            FindUnsent();
        }
    }

    /// <summary>It was taken in this boot, perhaps by an earlier agent; or could not be, and what the ring holds now is of this boot.</summary>
    public bool IsTaken => Array.Exists([Info, Sent, Recording], name => File.Exists($"{_folder}/{name}"));

    public bool IsSent => _unsent.Count == 0;

    /// <summary>What marks of <see cref="MarkOf"/> begin with.</summary>
    public static ReadOnlySpan<byte> MarkBegins => "vsockpair-agent: "u8;

    /// <summary>For the ring, where a <see cref="PreviousReader"/> finds it in the next boot.</summary>
    public static string MarkOf(Guid bootId, string clock) => $"{Encoding.UTF8.GetString(MarkBegins)}boot {bootId} clock {clock}\n";

    /// <summary>Reads the ring of every CPU to its end.</summary>
    /// <exception cref="LinuxException">What was read so far is kept; another agent of this boot goes on there.</exception>
    public void TakeFrom(Tracefs ring)
    {
        bool wasOn = ring.Read("tracing_on") == "1";
        ring.Write("tracing_on", "0");
        string lastBoot = ring.Read(PersistentRing.BootInfo);
        int subBufferBytes = TraceInstance.ReadSubBufferBytes(ring);
        MakeFolder(_folder);
        string[] cpus = Directory.GetDirectories(ring.Path("per_cpu"));
        PreviousReader reader = new(subBufferBytes, _mostBytes / Math.Max(1, cpus.Length));
        foreach (string cpu in cpus)
        {
            string folder = $"{_folder}/{Path.GetFileName(cpu)}";
            MakeFolder(folder);
            reader.Take($"{cpu}/trace_pipe_raw", folder);
        }
        FindUnsent();
        bool isEmpty = _unsent.Count == 0;
        string info = $"{reader.Mark ?? ""}sub_buffer_bytes {subBufferBytes}\nsub_buffers_dropped {reader.Dropped}\nrecording_went_on {(wasOn ? "yes" : "no")}\n\n{lastBoot}\n";
        string name = $"{_folder}/{(isEmpty ? Sent : Info)}";
        SmallFile.Write($"{name}.new", isEmpty ? "" : info[..Math.Min(info.Length, MostInfoBytes)]);
        LinuxException.Check(Sys.Rename($"{name}.new", name), "rename", name);
        if (!isEmpty)
        {
            _unsent.Add(Info);
            AgentLog.Info($"the persistent trace ring held {reader.Kept} sub-buffers of the boot before");
        }
    }

    /// <summary>All that the collector does not have yet, the last word only when it is the last.</summary>
    public void OfferAll(FileOffers offers)
    {
        bool hasParts = false;
        foreach (string name in _unsent)
        {
            if (name != Info)
            {
                hasParts = true;
                Offer(offers, name);
            }
        }
        if (!hasParts)
        {
            OfferInfo(offers);
        }
    }

    public void Acknowledged(OfferedFile file, FileOffers offers)
    {
        _unsent.Remove(file.Name);
        if (file.Name == Info)
        {
            _ = Sys.Rename($"{_folder}/{Info}", $"{_folder}/{Sent}");
            AgentLog.Info("what the persistent trace ring held of the boot before is stored on the host");
            return;
        }
        File.Delete(file.Path!);
        if (_unsent.Count == 1)
        {
            OfferInfo(offers);
        }
    }

    /// <returns>False when an earlier agent of this boot has begun it: what the ring holds then is of this boot.</returns>
    public bool BeginRecording()
    {
        string mark = $"{_folder}/{Recording}";
        if (File.Exists(mark))
        {
            return false;
        }
        MakeFolder(_folder);
        SmallFile.Write(mark, "");
        return true;
    }

    private void FindUnsent()
    {
        foreach (string cpu in Directory.GetDirectories(_folder))
        {
            foreach (string file in Directory.GetFiles(cpu))
            {
                _unsent.Add($"{Path.GetFileName(cpu)}/{Path.GetFileName(file)}");
            }
        }
        if (File.Exists($"{_folder}/{Info}"))
        {
            _unsent.Add(Info);
        }
    }

    private void OfferInfo(FileOffers offers)
    {
        if (_unsent.Contains(Info))
        {
            Offer(offers, Info);
        }
    }

    private void Offer(FileOffers offers, string name)
    {
        string path = $"{_folder}/{name}";
        offers.Add(new OfferedFile(OfferedKind.Previous, name, () => new FileSource(path)) { Path = path, HashKey = path });
    }

    private static void MakeFolder(string folder)
    {
        int made = Sys.MakeDirectory(folder, 0x1C0);
        if (made != -Errno.EEXIST)
        {
            LinuxException.Check(made, "mkdir", folder);
        }
    }
}
