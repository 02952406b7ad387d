using System.Text;

namespace VsockPair.Memory;

/// <summary>ftrace's instances in a guest's memory, and the rings of their CPUs. The guest stands still, or its memory was copied while it did.</summary>
internal sealed class FtraceRings
{
    /// <summary>What the top level is called here: its name in the kernel is none.</summary>
    public const string TopLevel = "";

    private const int MostInstances = 1024;
    private const int MostVcpus = 4096;
    private const int LongestName = 256;

    /// <summary>Of the unread sub-buffers of all CPUs of one instance together: a guest may say that its rings are larger than its memory.</summary>
    private const long MostTailBytes = 1L << 30;

    private readonly IVirtualMemory _memory;
    private readonly RingLayout _layout;
    private readonly uint _vcpus;
    private readonly Dictionary<string, ulong> _instances = new(StringComparer.Ordinal);

    private FtraceRings(IVirtualMemory memory, RingLayout layout, uint vcpus)
    {
        _memory = memory;
        _layout = layout;
        _vcpus = vcpus;
    }

    /// <summary>Guests choose their instances' names: escape them.</summary>
    public IReadOnlyCollection<string> Instances => _instances.Keys;

    /// <param name="fault">Why they cannot be found; empty when they can.</param>
    public static FtraceRings? TryOpen(IVirtualMemory memory, KernelTypes types, KernelAddresses addresses, out string fault)
    {
        if (RingLayout.TryFind(types, out fault) is not RingLayout layout)
        {
            return null;
        }
        if (addresses.Find("ftrace_trace_arrays") is not ulong list)
        {
            fault = "the kernel's symbols have no ftrace_trace_arrays";
            return null;
        }
        uint? vcpus = addresses.Find("nr_cpu_ids") is ulong count ? memory.ReadU32(count) : null;
        if (vcpus is null && layout.BufferVcpuCount is null)
        {
            fault = "how many CPUs the guest can have is not known: nr_cpu_ids cannot be read";
            return null;
        }
        FtraceRings rings = new(memory, layout, vcpus ?? MostVcpus);
        if (!rings.FindInstances(list))
        {
            fault = "the list of ftrace's instances cannot be read from this memory";
            return null;
        }
        return rings;
    }

    /// <summary>The rings of an instance, by CPU.</summary>
    /// <param name="faults">What could not be read of them, a line each.</param>
    public IReadOnlyList<RingTail> Open(string instance, List<string> faults)
    {
        if (!_instances.TryGetValue(instance, out ulong traceArray))
        {
            faults.Add($"there is no ftrace instance {(instance == TopLevel ? "at the top level" : instance)}");
            return [];
        }
        ulong? buffer = _memory.ReadU64(traceArray + (ulong)_layout.ArrayBuffer.Offset);
        ulong? vcpus = buffer is ulong at ? _memory.ReadU64(at + (ulong)_layout.BufferVcpus.Offset) : null;
        uint? count = _layout.BufferVcpuCount is KernelMember cpus && buffer is not null ? _memory.ReadU32(buffer.Value + (ulong)cpus.Offset) : _vcpus;
        uint? order = _layout.BufferOrder is KernelMember subBufferOrder && buffer is not null ? _memory.ReadU32(buffer.Value + (ulong)subBufferOrder.Offset) : 0;
        if (vcpus is null || count is null || order is null || RingLayout.SubBufferBytes(order.Value) is not int subBufferBytes)
        {
            faults.Add("the ring buffer cannot be read from this memory");
            return [];
        }
        List<(int Vcpu, ulong Address)> found = [];
        for (int i = 0; i < (int)Math.Min(count.Value, MostVcpus); i++)
        {
            ulong? address = _memory.ReadU64(vcpus.Value + (ulong)i * sizeof(ulong));
            if (address is null)
            {
                faults.Add($"cpu{i}: the ring cannot be read from this memory");
            }
            // A CPU that never was online has none.
            else if (address != 0)
            {
                found.Add((i, address.Value));
            }
        }
        int mostSubBuffers = (int)(MostTailBytes / Math.Max(1, found.Count) / subBufferBytes);
        List<RingTail> tails = [];
        foreach ((int vcpu, ulong address) in found)
        {
            if (RingTail.TryOpen(_memory, _layout, vcpu, address, subBufferBytes, mostSubBuffers) is RingTail tail)
            {
                tails.Add(tail);
                if (tail.Fault is not null)
                {
                    faults.Add($"cpu{vcpu}: {tail.Fault}");
                }
            }
            else
            {
                faults.Add($"cpu{vcpu}: the ring cannot be read from this memory");
            }
        }
        return tails;
    }

    /// <summary>
    /// Reads all sub-buffers, the newest of every CPU first, and throws them away: what counts is what was read, where memory is recorded as it is read and there is
    /// not time for all of it.
    /// </summary>
    public static void Touch(IReadOnlyList<RingTail> tails)
    {
        byte[] slot = new byte[tails.Count == 0 ? 0 : tails.Max(t => t.SubBufferBytes)];
        for (int back = 1; tails.Any(t => t.Count >= back); back++)
        {
            foreach (RingTail tail in tails.Where(t => t.Count >= back))
            {
                tail.TryRead(tail.Count - back, slot.AsSpan(0, tail.SubBufferBytes));
            }
        }
    }

    private bool FindInstances(ulong list)
    {
        ulong at = list;
        for (int i = 0; i <= MostInstances; i++)
        {
            if (_memory.ReadU64(at) is not ulong next)
            {
                return _instances.Count > 0;
            }
            if (next == list)
            {
                break;
            }
            ulong traceArray = next - (ulong)_layout.ArrayList.Offset;
            ulong? name = _memory.ReadU64(traceArray + (ulong)_layout.ArrayName.Offset);
            byte[]? text = name == 0 ? [] : name is ulong address ? _memory.ReadString(address, LongestName) : null;
            if (text is not null)
            {
                _instances.TryAdd(Encoding.UTF8.GetString(text), traceArray);
            }
            at = next;
        }
        return _instances.Count > 0;
    }
}
