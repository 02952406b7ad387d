using System.Buffers.Binary;
using VsockPair.Storage;
using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>
/// What the ring of one vCPU lost, brought together from two sides: the ledger has the numbers, each for the time since the line before it, and the sub-buffers' missed
/// bits have the places, with a number of their own only where one had room for it. Told is in the end what the ledger says.
/// </summary>
internal sealed class RingLosses(VcpuRecording vcpu)
{
    /// <summary>Trace clock at which a line was written → events lost since the one before.</summary>
    private readonly SortedDictionary<ulong, ulong> _lines = [];

    public void Add(ulong written, ulong events)
    {
        if (events > 0)
        {
            _lines[written] = Saturating.Add(_lines.GetValueOrDefault(written), events);
        }
    }

    /// <summary>The numbers that sub-buffers do not tell themselves. Looks at the headers of those around the range, if there is a line for it.</summary>
    public List<PlacedLoss> Place(TraceRange range)
    {
        ulong from = _lines.Keys.LastOrDefault(end => end < range.From);
        KeyValuePair<ulong, ulong>[] lines = [.. _lines.SkipWhile(l => l.Key <= from && from > 0)];
        // The first one from the end of the range on is the last that may tell of it.
        lines = lines[..Math.Min(lines.Length, lines.TakeWhile(l => l.Key < range.To).Count() + 1)];
        List<PlacedLoss> placed = [];
        if (lines.Length == 0)
        {
            return placed;
        }
        Matching matching = new(lines, placed);
        foreach ((SubBuffer header, ulong? count) in Headers(from))
        {
            if (matching.IsOver)
            {
                break;
            }
            matching.Take(header, count);
        }
        matching.End();
        return placed;
    }

    private IEnumerable<(SubBuffer Header, ulong? Count)> Headers(ulong from)
    {
        byte[] count = new byte[SubBuffer.LostCountBytes];
        int first = SegmentFile.IndexAt(vcpu.Segments, from);
        for (int i = first; i < vcpu.Segments.Count; i++)
        {
            using ISegmentReader? segment = vcpu.Segments[i].TryOpen();
            long slots = vcpu.SlotsOf(i, segment?.Slots ?? 0);
            for (long slot = i == first && slots > 0 ? segment!.SlotAt(from) : 0; slot < slots; slot++)
            {
                if (segment!.HeaderOf(slot) is not SubBuffer header || !header.FitsInto(vcpu.Segments[i].SubBufferBytes))
                {
                    continue;
                }
                bool hasCount = header.Missed && header.HasLostCount && segment!.Read(slot, SubBuffer.HeaderBytes + header.DataBytes, count) == count.Length;
                yield return (header, hasCount ? EventLoss.Of(BinaryPrimitives.ReadUInt64LittleEndian(count)).Mark : null);
            }
        }
    }

    /// <summary>Walks along the sub-buffers and the lines at once.</summary>
    private sealed class Matching(KeyValuePair<ulong, ulong>[] lines, List<PlacedLoss> placed)
    {
        private int _line;

        /// <summary>By sub-buffers since the last line.</summary>
        private ulong _told;

        /// <summary>The first sub-buffer since the last line that tells of a loss without its number.</summary>
        private ulong? _flagged;

        /// <summary>Of a line that no sub-buffer has told of: the next one may, since it was read after the ring's figures were.</summary>
        private ulong _owed;

        public bool IsOver => _line == lines.Length && _owed == 0;

        public void Take(in SubBuffer header, ulong? count)
        {
            while (_line < lines.Length && lines[_line].Key < header.TimeStamp)
            {
                EndLine();
            }
            if (header.Missed && count is ulong told)
            {
                ulong paid = Math.Min(_owed, told);
                _owed -= paid;
                _told = Saturating.Add(_told, told - paid);
            }
            else if (header.Missed && _owed == 0)
            {
                _flagged ??= header.TimeStamp;
            }
            if (_owed > 0)
            {
                PlaceAfter(lines[_line - 1].Key, _owed);
                _owed = 0;
            }
        }

        public void End()
        {
            while (_line < lines.Length)
            {
                EndLine();
            }
            if (_owed > 0)
            {
                PlaceAfter(lines[^1].Key, _owed);
            }
        }

        private void EndLine()
        {
            (ulong end, ulong lost) = lines[_line++];
            ulong told = Math.Min(lost, _told);
            _told -= told;
            if (lost > told && _flagged is ulong flagged)
            {
                PlaceAfter(Math.Max(flagged, 1) - 1, lost - told, end);
            }
            else
            {
                _owed = Saturating.Add(_owed, lost - told);
            }
            _flagged = null;
        }

        private void PlaceAfter(ulong time, ulong events, ulong? until = null) => placed.Add(new PlacedLoss(time, EventLoss.Of(events), RingUntil: until ?? time));
    }
}
