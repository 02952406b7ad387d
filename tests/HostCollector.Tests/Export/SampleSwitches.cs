using System.Buffers.Binary;
using System.Text;
using VsockPair.Decoding;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.HostCollector.Tests.Decoding;

namespace VsockPair.HostCollector.Tests.Export;

/// <summary>A trace of <c>sched_switch</c> made by hand, with a real kernel's formats and thread names of the test's choice.</summary>
internal sealed class SampleSwitches
{
    private readonly SampleTrace _trace;
    private readonly EventFormat _switch;

    public SampleSwitches(SampleStore store, string savedCommandLines)
    {
        Dictionary<string, byte[]> metadata = new(CaptureFile.Read(Path.Combine(ReportTests.Folder, "Linux61-common.zip")).Metadata)
        {
            ["saved_cmdlines"] = Encoding.Latin1.GetBytes(savedCommandLines),
        };
        _trace = new SampleTrace(store);
        _trace.WriteMetadata(metadata);
        _switch = new EventCatalog(metadata.Keys, metadata.GetValueOrDefault).Find("sched", "sched_switch")!;
    }

    /// <summary>On one vCPU, a microsecond apart.</summary>
    public void Write(int vcpu, ulong start, params IEnumerable<(int Pid, string Name, int NextPid, string NextName)> switches) =>
        _trace.WriteSegment(vcpu, start, SampleTrace.SubBufferOf(start, 1000, switches.Select(Payload)));

    private byte[] Payload((int Pid, string Name, int NextPid, string NextName) one)
    {
        byte[] payload = new byte[_switch.Fields.Max(f => f.Offset + f.Size)];
        Put(payload, "common_type", _switch.Id);
        Put(payload, "common_pid", one.Pid);
        Put(payload, "prev_pid", one.Pid);
        Put(payload, "next_pid", one.NextPid);
        Put(payload, "prev_prio", 120);
        Put(payload, "next_prio", 120);
        Encoding.Latin1.GetBytes(one.Name, payload.AsSpan(_switch.Find("prev_comm")!.Offset));
        Encoding.Latin1.GetBytes(one.NextName, payload.AsSpan(_switch.Find("next_comm")!.Offset));
        return payload;
    }

    private void Put(byte[] payload, string field, int value)
    {
        FieldFormat place = _switch.Find(field)!;
        Span<byte> number = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(number, value);
        number[..Math.Min(place.Size, number.Length)].CopyTo(payload.AsSpan(place.Offset));
    }
}
