namespace VsockPair.Storage;

/// <summary>
/// The books of one vCPU's stream over one boot (PROTOCOL.md §6), in events: read before + read = stored + transport loss; lost before + lost = ring loss.
/// Everything but the last figures heard is derived from files, so it is the same after any restart. Pure; its stream's lock guards it.
/// </summary>
public sealed class StreamAccount
{
    private RingRecord? _ring;
    private ulong _heardRead;
    private ulong _heardLost;

    /// <param name="ring">The generation that <c>rings/</c> knows, if any.</param>
    /// <param name="stored">Events of all segments of this boot, and of those that retention removed.</param>
    /// <param name="transportLost">Sum of the ledger's transport lines.</param>
    /// <param name="ringLost">Sum of the ledger's ring lines.</param>
    public StreamAccount(RingRecord? ring, ulong stored, ulong transportLost, ulong ringLost)
    {
        _ring = ring;
        Stored = stored;
        TransportLost = transportLost;
        RingLost = ringLost;
    }

    public ulong Stored { get; private set; }

    public ulong TransportLost { get; private set; }

    public ulong RingLost { get; private set; }

    public RingRecord? Ring => _ring;

    public void AddStored(long events) => Stored += (ulong)events;

    /// <summary>A ring whose counters begin at zero. The one before it has to be settled already.</summary>
    /// <returns>What <c>rings/</c> must hold before the first record of this generation is stored.</returns>
    public RingRecord Begin(Guid generation, int subBufferBytes)
    {
        _heardRead = 0;
        _heardLost = 0;
        return _ring = new RingRecord
        {
            Generation = generation,
            SubBufferBytes = subBufferBytes,
            // Whatever of the older generation was not heard of before it ended cannot be known; all that is known is declared.
            ReadEventsBefore = Saturating.Add(Stored, TransportLost),
            LostEventsBefore = RingLost,
        };
    }

    /// <summary>Takes counters of the ring. Those of another generation, or lower than the last ones, say nothing and are left out.</summary>
    /// <returns>False when they were left out.</returns>
    public bool Hear(Guid generation, ulong readEvents, ulong lostEvents)
    {
        if (_ring is null || _ring.Generation != generation || readEvents < _heardRead || lostEvents < _heardLost
            || readEvents > long.MaxValue || lostEvents > long.MaxValue)
        {
            return false;
        }
        _heardRead = readEvents;
        _heardLost = lostEvents;
        return true;
    }

    /// <summary>Declares what was read from the ring and never arrived. Only right while nothing is on its way.</summary>
    /// <returns>Events for a new line of the ledger, 0 for none.</returns>
    public ulong SettleTransport()
    {
        ulong read = Saturating.Add(_ring?.ReadEventsBefore ?? 0, _heardRead);
        ulong accounted = Saturating.Add(Stored, TransportLost);
        ulong missing = read > accounted ? read - accounted : 0;
        TransportLost += missing;
        return missing;
    }

    /// <summary>More is stored than the ring says was read, at a moment when both must be the same: the guest's figures or records are not true.</summary>
    public bool IsSurplus => _ring is not null && Saturating.Add(Stored, TransportLost) > Saturating.Add(_ring.ReadEventsBefore, _heardRead);

    /// <summary>The agent has left with so many events in the ring, or one has come back to it (0).</summary>
    /// <returns>What <c>rings/</c> must hold, null when it holds that already.</returns>
    public RingRecord? Leave(ulong events)
    {
        ulong? ifOver = events == 0 ? null : Saturating.Add(Saturating.Add(_ring?.LostEventsBefore ?? 0, _heardLost), events);
        return _ring is null || _ring.LostEventsIfOver == ifOver ? null : _ring = _ring with { LostEventsIfOver = ifOver };
    }

    /// <summary>The boot is over: declares what was left in the ring.</summary>
    /// <returns>Events for a new line of the ledger, 0 for none.</returns>
    public ulong SettleLeft()
    {
        ulong missing = _ring?.LostEventsIfOver is ulong lost && lost > RingLost ? lost - RingLost : 0;
        RingLost += missing;
        return missing;
    }

    /// <summary>Declares what the ring overwrote.</summary>
    /// <returns>Events for a new line of the ledger, 0 for none.</returns>
    public ulong SettleRing()
    {
        ulong lost = Saturating.Add(_ring?.LostEventsBefore ?? 0, _heardLost);
        ulong missing = lost > RingLost ? lost - RingLost : 0;
        RingLost += missing;
        return missing;
    }
}
