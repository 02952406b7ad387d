namespace VsockPair.History;

/// <summary>The sub-buffers of one vCPU, one after the other.</summary>
internal interface ISubBufferSource : IDisposable
{
    int Vcpu { get; }

    /// <summary>The whole slot; what is not used of it is zero. The caller may change it.</summary>
    Span<byte> SubBuffer { get; }

    /// <summary>What others than the kernel lost before this sub-buffer, or after the last one when there are no more.</summary>
    EventLoss Loss { get; }

    /// <summary>Slots that held no sub-buffer, which only a damaged disk or file makes.</summary>
    long Damaged { get; }

    /// <returns>False at the end, which for a source that follows a stream is that for now.</returns>
    bool TryReadNext();
}
