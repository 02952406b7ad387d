namespace VsockPair.History;

/// <summary>The sub-buffers of one vCPU, one after the other.</summary>
internal interface ISubBufferSource : IDisposable
{
    int Vcpu { get; }

    /// <summary>The whole slot, whose events are all good; what is not used of it is zero. The caller may change it.</summary>
    Span<byte> SubBuffer { get; }

    /// <summary>What is missing before this sub-buffer, or after the last one when there are no more, beside what the sub-buffer itself tells.</summary>
    EventLoss Loss { get; }

    /// <summary>Each place of it is a loss as well.</summary>
    Damage Damage { get; }

    /// <returns>False at the end, which for a source that follows a stream is that for now.</returns>
    bool TryReadNext();
}
