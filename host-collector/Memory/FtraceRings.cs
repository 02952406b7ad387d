using System.Text;

namespace VsockPair.Memory;

/// <summary>ftrace's instances in a guest's memory, and the rings of their CPUs. The guest stands still, or its memory was copied while it did.</summary>
internal sealed class FtraceRings
{
    /// <summary>What the top level is called here: its name in the kernel is none.</summary>
    public const string TopLevel = "";

    /// <summary>guest-agent/Tracing/TraceInstance.</summary>
    public const string AgentInstance = "vsockpair";

    private const int MostInstances = 1024;
    private const int MostVcpus = 4096;
    private const int LongestName = 256;

    /// <summary>Of the unread sub-buffers of all CPUs of one instance together: a guest may say that its rings are larger than its memory.</summary>
    private const long MostTailBytes = 1L << 30;

    private readonly KernelMemory _memory;
    private readonly RingLayout _layout;
    private readonly uint _vcpus;
    private readonly Dictionary<string, ulong> _instances = new(StringComparer.Ordinal);

    private FtraceRings(KernelMemory memory, RingLayout layout, uint vcpus)
    {
        _memory = memory;
        _layout = layout;
        _vcpus = vcpus;
    }

    /// <summary>Guests choose their instances' names: escape them.</summary>
    public IReadOnlyCollection<string> Instances => _instances.Keys;

    /// <param name="fault">Why they cannot be found; empty when they can.</param>
    public static FtraceRings? TryOpen(KernelMemory memory, KernelTypes types, KernelAddresses addresses, out string fault)
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
        uint? vcpus = addresses.Find("nr_cpu_ids") is ulong count && memory.TryReadU32(count, out uint ids) ? ids : null;
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
        uint vcpus = _vcpus;
        uint order = 0;
        if (!_memory.TryReadU64(traceArray + (ulong)_layout.ArrayBuffer.Offset, out ulong buffer)
            || !_memory.TryReadU64(buffer + (ulong)_layout.BufferVcpus.Offset, out ulong addresses)
            || (_layout.BufferVcpuCount is KernelMember count && !_memory.TryReadU32(buffer + (ulong)count.Offset, out vcpus))
            || (_layout.BufferOrder is KernelMember subBufferOrder && !_memory.TryReadU32(buffer + (ulong)subBufferOrder.Offset, out order))
            || RingLayout.SubBufferBytes(order) is not int subBufferBytes)
        {
            faults.Add("the ring buffer cannot be read from this memory");
            return [];
        }
        List<(int Vcpu, ulong Address)> found = [];
        for (int i = 0; i < (int)Math.Min(vcpus, MostVcpus); i++)
        {
            if (!_memory.TryReadU64(addresses + (ulong)i * sizeof(ulong), out ulong address))
            {
                faults.Add($"cpu{i}: the ring cannot be read from this memory");
            }
            // A CPU that never was online has none.
            else if (address != 0)
            {
                found.Add((i, address));
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
        Span<byte> name = stackalloc byte[LongestName];
        ulong at = list;
        for (int i = 0; i <= MostInstances; i++)
        {
            if (!_memory.TryReadU64(at, out ulong next) || next == list)
            {
                break;
            }
            ulong traceArray = next - (ulong)_layout.ArrayList.Offset;
            int length = 0;
            if (_memory.TryReadU64(traceArray + (ulong)_layout.ArrayName.Offset, out ulong text) && (text == 0 || TryReadName(text, name, out length)))
            {
                _instances.TryAdd(Encoding.UTF8.GetString(name[..length]), traceArray);
            }
            at = next;
        }
        return _instances.Count > 0;
    }

    /// <summary>Byte for byte: what follows its NUL may not be mapped.</summary>
    private bool TryReadName(ulong address, Span<byte> target, out int length)
    {
        for (length = 0; length < target.Length && _memory.TryRead(address + (ulong)length, target.Slice(length, 1)); length++)
        {
            if (target[length] == 0)
            {
                return true;
            }
        }
        return false;
    }
}
