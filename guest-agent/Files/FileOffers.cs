using VsockPair.GuestAgent.Connections;
using VsockPair.GuestAgent.Metadata;
using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Files;

/// <summary>
/// Offers files in one session and sends those that the collector wants, in small steps between which the session's other work is done.
/// A file is sent only if it is still what was offered: its last chunk waits for the hash of the whole.
/// </summary>
internal sealed class FileOffers(FrameChannel channel, FileHashes hashes, Action<OfferedFile> acknowledged) : IDisposable
{
    private const long LargestFile = 32L << 20;
    private const int MostOffers = 4096;
    private const int HashBytesPerStep = 8 * Wire.MaxFileChunkBytes;
    private const int MostAttempts = 3;

    // Symbols and types wait with their content until everything has been offered: the streams begin then.
    private const long LargeBytes = 1 << 20;

    private readonly Queue<Offer> _toOffer = [];
    private readonly Queue<Offer> _toSend = [];
    private readonly Dictionary<uint, Offer> _offered = [];
    private readonly byte[] _chunk = GC.AllocateUninitializedArray<byte>(Wire.MaxFileChunkBytes);
    private Offer? _current;
    private ByteSource? _source;
    private Sha256 _hash = new();
    private long _offset;
    private uint _lastId;
    private int _metadataToOffer;

    public bool HasWork => _current is not null || _toOffer.Count > 0 || _toSend.Count > 0;

    /// <summary>The collector was told of every metadata file so far that can be read.</summary>
    public bool IsMetadataOffered => _metadataToOffer == 0;

    public void Add(OfferedFile file)
    {
        _toOffer.Enqueue(new Offer(file));
        _metadataToOffer += file.Kind == OfferedKind.Metadata ? 1 : 0;
    }

    /// <summary>One bounded piece of work: a chunk, or a stretch of hashing.</summary>
    public void Step()
    {
        if (_current is null && !TryBegin())
        {
            return;
        }
        if (_current!.Id == 0)
        {
            HashSome(_current);
        }
        else
        {
            SendChunk(_current);
        }
    }

    /// <exception cref="LinuxException">Nothing of that kind was to be answered.</exception>
    public void Answered(FileAnswer answer)
    {
        Offer offer = Find(answer.Id, OfferState.Offered);
        switch (answer.Answer)
        {
            case OfferAnswer.Want:
                offer.State = OfferState.Wanted;
                _toSend.Enqueue(offer);
                return;
            case OfferAnswer.Have:
                acknowledged(offer.File);
                break;
            default:
                AgentLog.Warning($"the collector does not take {offer.File.Name} of {offer.Hash.Size} bytes, ignoring");
                break;
        }
        _offered.Remove(answer.Id);
    }

    /// <exception cref="LinuxException">The file was not sent, or was acknowledged before.</exception>
    public void Stored(FileStored stored)
    {
        Offer offer = Find(stored.Id, OfferState.Sent);
        _offered.Remove(stored.Id);
        acknowledged(offer.File);
    }

    public void Dispose() => _source?.Dispose();

    private Offer Find(uint id, OfferState state) =>
        _offered.TryGetValue(id, out Offer? offer) && offer.State == state ? offer : throw FrameChannel.BadFrame();

    /// <returns>False when an offer could be made without work, or there is none to make.</returns>
    private bool TryBegin()
    {
        bool sends = _toSend.TryPeek(out Offer? next) && (_toOffer.Count == 0 || next.Hash.Size < LargeBytes);
        if (!(sends ? _toSend : _toOffer).TryDequeue(out _current))
        {
            return false;
        }
        if (!sends && hashes.Find(_current.File) is FileHash known)
        {
            Announce(_current, known);
            _current = null;
            return false;
        }
        _source = _current.File.Open();
        _hash = new Sha256();
        _offset = 0;
        return true;
    }

    private void HashSome(Offer offer)
    {
        for (int budget = HashBytesPerStep; budget > 0;)
        {
            int n = _source!.Read(_chunk);
            _hash.Append(_chunk.AsSpan(0, Math.Max(n, 0)));
            _offset += Math.Max(n, 0);
            budget -= n;
            if (n < 0 || _offset > LargestFile)
            {
                Skip(offer, n < 0 ? Errno.Describe(-n) : $"more than {LargestFile >> 20} MiB");
                return;
            }
            if (n == 0)
            {
                EndCurrent();
                if (_offset == 0)
                {
                    Concluded(offer);
                    return;
                }
                FileHash hash = new(_offset, _hash.Finish());
                hashes.Add(offer.File, hash);
                Announce(offer, hash);
                return;
            }
        }
    }

    private void SendChunk(Offer offer)
    {
        int want = (int)Math.Min(_chunk.Length, offer.Hash.Size - _offset);
        int have = 0;
        while (have < want)
        {
            int n = _source!.Read(_chunk.AsSpan(have, want - have));
            if (n <= 0)
            {
                Changed(offer);
                return;
            }
            have += n;
        }
        _hash.Append(_chunk.AsSpan(0, have));
        bool isLast = _offset + have == offer.Hash.Size;
        Span<byte> beyond = stackalloc byte[1];
        if (isLast && (_source!.Read(beyond) != 0 || !_hash.Finish().AsSpan().SequenceEqual(offer.Hash.Sha256)))
        {
            Changed(offer);
            return;
        }
        channel.SendOutput(new FileChunk(offer.Id, _offset, _chunk.AsSpan(0, have)).Encode(channel.Output));
        _offset += have;
        if (isLast)
        {
            offer.State = OfferState.Sent;
            EndCurrent();
        }
    }

    private void Announce(Offer offer, FileHash hash)
    {
        if (_lastId == MostOffers)
        {
            Skip(offer, $"more than {MostOffers} offers in this session");
            return;
        }
        offer.Id = ++_lastId;
        offer.Hash = hash;
        _offered.Add(offer.Id, offer);
        Concluded(offer);
        channel.Send(new FileOffer(offer.Id, offer.File.Kind, offer.File.Name, hash.Size, offer.File.Modified, hash.Sha256));
    }

    // What was sent so far is void; the file is offered again as it is now.
    private void Changed(Offer offer)
    {
        EndCurrent();
        hashes.Forget(offer.File);
        _offered.Remove(offer.Id);
        channel.Send(new FileGone(offer.Id));
        if (offer.Attempt == MostAttempts)
        {
            AgentLog.Warning($"{offer.File.Name} is not sent: it changes meanwhile");
            return;
        }
        _metadataToOffer += offer.File.Kind == OfferedKind.Metadata ? 1 : 0;
        _toOffer.Enqueue(new Offer(offer.File) { Attempt = offer.Attempt + 1 });
    }

    private void Skip(Offer offer, string reason)
    {
        AgentLog.Warning($"{offer.File.Name} is not sent: {reason}");
        EndCurrent();
        Concluded(offer);
    }

    private void EndCurrent()
    {
        _source?.Dispose();
        _source = null;
        _current = null;
    }

    // Offered, or not to be.
    private void Concluded(Offer offer) => _metadataToOffer -= offer.File.Kind == OfferedKind.Metadata ? 1 : 0;

    private enum OfferState
    {
        Offered,
        Wanted,
        Sent,
    }

    private sealed class Offer(OfferedFile file)
    {
        public OfferedFile File { get; } = file;

        /// <summary>0 until it was offered.</summary>
        public uint Id { get; set; }

        public OfferState State { get; set; }

        /// <summary>As it was offered.</summary>
        public FileHash Hash { get; set; } = new(0, []);

        public int Attempt { get; init; } = 1;
    }
}
