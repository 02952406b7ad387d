using VsockPair.Decoding;

namespace VsockPair.Export.Perfetto;

/// <summary>
/// Writes the packets of a Perfetto trace, all of one sequence and one machine, and keeps the sequence's interned symbols: each goes out before the packet that first
/// refers to it. Addresses of one symbol have one number: there are many, and the guest chooses them.
/// </summary>
internal sealed class PacketWriter(Stream target, uint machine, KernelSymbols symbols)
{
    private const ulong Sequence = 1;

    private readonly ProtoWriter _packet = new();
    private readonly ProtoWriter _framed = new();
    private readonly ProtoWriter _newSymbols = new();
    private readonly Dictionary<int, ulong> _symbols = [];
    private bool _begun;

    /// <summary>The number of an interned symbol, for an address of it; the address itself where there is none.</summary>
    public ulong Intern(ulong address)
    {
        if (!symbols.TryFind(address, out KernelSymbol symbol))
        {
            return address;
        }
        if (_symbols.TryGetValue(symbol.Index, out ulong id))
        {
            return id;
        }
        id = (ulong)_symbols.Count + 1;
        _symbols.Add(symbol.Index, id);
        int entry = _newSymbols.Begin(PerfettoFields.Interned.KernelSymbols);
        _newSymbols.Number(PerfettoFields.Interned.Id, id);
        _newSymbols.Text(PerfettoFields.Interned.Text, symbol.Name);
        _newSymbols.End(entry);
        return id;
    }

    /// <summary>A packet of one message.</summary>
    /// <param name="field">Of TracePacket.</param>
    /// <param name="time">Trace clock, for a packet that has a time of its own.</param>
    public void Write(int field, ReadOnlySpan<byte> content, ulong? time = null)
    {
        _packet.Clear();
        if (time is ulong at)
        {
            _packet.Number(PerfettoFields.Packet.Timestamp, at);
            _packet.Number(PerfettoFields.Packet.TimestampClockId, PerfettoFields.Clock.BootTime);
        }
        _packet.Number(PerfettoFields.Packet.SequenceId, Sequence);
        _packet.Number(PerfettoFields.Packet.SequenceFlags, _begun ? PerfettoFields.Packet.NeedsState : PerfettoFields.Packet.StateCleared);
        _packet.Number(PerfettoFields.Packet.MachineId, machine);
        _begun = true;
        if (_newSymbols.Length > 0)
        {
            _packet.Message(PerfettoFields.Packet.InternedData, _newSymbols.Bytes);
            _newSymbols.Clear();
        }
        _packet.Message(field, content);
        _framed.Clear();
        _framed.Message(PerfettoFields.TracePacket, _packet.Bytes);
        target.Write(_framed.Bytes);
    }
}
