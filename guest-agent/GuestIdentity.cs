using System.Buffers.Binary;
using System.Runtime.InteropServices;
using VsockPair.GuestAgent.Tracing;
using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent;

/// <summary>What this boot and this agent process say of themselves in a Hello.</summary>
internal sealed class GuestIdentity
{
    private const int BuildIdNote = 3;

    public required Guid BootId { get; init; }
    public required Guid AgentInstance { get; init; }
    public required string AgentVersion { get; init; }
    public required string KernelRelease { get; init; }
    public required string KernelVersion { get; init; }
    public required string NodeName { get; init; }
    public required ReadOnlyMemory<byte> BuildId { get; init; }
    public required int PossibleCpus { get; init; }

    public static GuestIdentity Read(GuestPaths paths)
    {
        string kernel = $"{paths.Proc}/sys/kernel";
        string notes = $"{paths.SysFs}/kernel/notes";
        return new GuestIdentity
        {
            BootId = Guid.Parse(SmallFile.ReadText($"{kernel}/random/boot_id")),
            AgentInstance = Guid.NewGuid(),
            AgentVersion = AgentVersionText.Value,
            KernelRelease = SmallFile.ReadText($"{kernel}/osrelease"),
            KernelVersion = SmallFile.ReadText($"{kernel}/version"),
            NodeName = SmallFile.ReadText($"{kernel}/hostname"),
            BuildId = File.Exists(notes) ? FindBuildId(SmallFile.ReadBytes(notes)) : default,
            // The highest number, which a gap in the mask does not lower: no stream may have a higher one.
            PossibleCpus = CpuList.Parse(SmallFile.ReadText($"{paths.SysFs}/devices/system/cpu/possible"))[^1] + 1,
        };
    }

    public ControlHello ToHello(Guid previousSession, int subBufferBytes, string traceClock, IReadOnlyList<string> notes) => new()
    {
        AgentInstance = AgentInstance,
        BootClock = Sys.Now(Constants.CLOCK_BOOTTIME),
        PreviousSession = previousSession,
        AgentVersion = AgentVersion,
        KernelRelease = KernelRelease,
        KernelVersion = KernelVersion,
        Machine = RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "aarch64" : "x86_64",
        NodeName = NodeName,
        BuildId = BuildId,
        PossibleCpus = PossibleCpus,
        SubBufferBytes = subBufferBytes,
        TraceClock = traceClock,
        Notes = notes,
        Capabilities = AgentCapabilities.TraceControl,
    };

    /// <summary>ELF notes (elf(5)): u32 name bytes, u32 content bytes, u32 type, then both, each padded to 4 bytes.</summary>
    internal static ReadOnlyMemory<byte> FindBuildId(ReadOnlyMemory<byte> notes)
    {
        while (notes.Length >= 12)
        {
            ReadOnlySpan<byte> head = notes.Span;
            uint name = BinaryPrimitives.ReadUInt32LittleEndian(head);
            uint content = BinaryPrimitives.ReadUInt32LittleEndian(head[4..]);
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(head[8..]);
            long start = 12 + ((name + 3L) & ~3L);
            if (start + content > notes.Length)
            {
                break;
            }
            if (type == BuildIdNote && head.Slice(12, (int)name).SequenceEqual("GNU\0"u8) && content <= Wire.MaxBuildIdBytes)
            {
                return notes.Slice((int)start, (int)content);
            }
            notes = notes[(int)Math.Min(notes.Length, start + ((content + 3L) & ~3L))..];
        }
        return default;
    }
}
