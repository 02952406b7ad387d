namespace VsockPair.Decoding.Printing;

/// <summary>What an expression is evaluated on: one event, and what gives its addresses names.</summary>
internal readonly ref struct PrintContext(ReadOnlySpan<byte> payload, EventCatalog catalog)
{
    public ReadOnlySpan<byte> Payload { get; } = payload;

    public EventCatalog Catalog { get; } = catalog;

    /// <summary>Zero-extended, as trace-cmd reads every number before a conversion gives it a sign.</summary>
    public ulong Unsigned(FieldFormat field) => Unsigned(field.Offset, field.Size);

    /// <summary>0 for what is no integer of 1, 2, 4 or 8 bytes inside the payload.</summary>
    public ulong Unsigned(long offset, int size) =>
        offset >= 0 && offset <= Payload.Length && size <= Payload.Length - offset
            ? (ulong)FieldFormat.ReadInteger(Payload.Slice((int)offset, size), isSigned: false)
            : 0;
}
