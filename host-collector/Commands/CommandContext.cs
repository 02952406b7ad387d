using VsockPair.Options;

namespace VsockPair.Commands;

/// <summary>What a reading command works with: the store, and where its answer goes.</summary>
/// <param name="Output">Buffered; whoever follows something flushes it.</param>
/// <param name="Error">For remarks that do not belong to the answer.</param>
internal sealed record CommandContext(string Store, TextWriter Output, TextWriter Error, TimeProvider Time)
{
    /// <summary>Where a vmlinux is looked for.</summary>
    public WatchOptions Watch { get; init; } = new();

    /// <summary>Whether text for people may be coloured.</summary>
    public bool HasColours { get; init; }
}
