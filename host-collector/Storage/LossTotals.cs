namespace VsockPair.Storage;

/// <summary>Names of the ledger's sources.</summary>
internal static class LossSources
{
    public const string Ring = "ring";
    public const string Transport = "transport";
    public const string Kmsg = "kmsg";
    public const string Retention = "retention";
}

/// <summary>What the ledgers say of one stream of one boot.</summary>
internal sealed class LossTotals
{
    public ulong RingEvents { get; private set; }

    public ulong TransportEvents { get; private set; }

    public ulong RetentionEvents { get; private set; }

    /// <summary>First kmsg sequence that is neither declared lost nor removed by retention, as far as the ledgers know.</summary>
    public ulong KmsgNext { get; private set; }

    public LossTotals Clone() => (LossTotals)MemberwiseClone();

    public void Add(LossTotals other)
    {
        RingEvents = Saturating.Add(RingEvents, other.RingEvents);
        TransportEvents = Saturating.Add(TransportEvents, other.TransportEvents);
        RetentionEvents = Saturating.Add(RetentionEvents, other.RetentionEvents);
        KmsgNext = Math.Max(KmsgNext, other.KmsgNext);
    }

    public void Add(LossRecord record)
    {
        ulong events = (ulong)Math.Max(0, record.Events ?? 0);
        switch (record.Source)
        {
            case LossSources.Ring:
                RingEvents = Saturating.Add(RingEvents, events);
                break;
            case LossSources.Transport:
                TransportEvents = Saturating.Add(TransportEvents, events);
                break;
            case LossSources.Retention:
                RetentionEvents = Saturating.Add(RetentionEvents, events);
                KmsgNext = Math.Max(KmsgNext, Saturating.Add(record.Last ?? 0, 1));
                break;
            case LossSources.Kmsg:
                KmsgNext = Math.Max(KmsgNext, Saturating.Add(record.Last ?? 0, 1));
                break;
        }
    }
}
