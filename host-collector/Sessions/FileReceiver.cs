using Microsoft.Extensions.Logging;
using VsockPair.Protocol;
using VsockPair.Storage;

namespace VsockPair.Sessions;

/// <summary>
/// The offers of one session: what the store lacks is asked for and taken in, one file after the other (PROTOCOL.md §8). Called by the control loop alone;
/// only <see cref="Stored"/> runs on the storage thread.
/// </summary>
internal sealed class FileReceiver(GuestSession session, CollectorStore store, ILogger log)
{
    private const long MaxFileBytes = 32L << 20;
    private const long MaxFormatBytes = 64L << 10;
    private const int MaxOffers = 4096;
    private const long MaxMetadataBytesPerSession = 128L << 20;
    private const int MaxPstoreNameChars = 128;

    private readonly HashSet<uint> _ids = [];
    private readonly Queue<FileOffer> _wanted = new();
    private IncomingFile? _file;
    private readonly Dictionary<string, List<uint>> _pstoreOnTheWay = new(StringComparer.Ordinal);
    private long? _dropped;
    private long _metadataBytes;
    private long _pstoreBytes;

    public Violation? Take(in FileOffer offer)
    {
        if (_ids.Count >= MaxOffers || !_ids.Add(offer.Id) || !IsPlainName(offer.Name))
        {
            return Violation.BadFileOffer;
        }
        OfferAnswer? answer = offer.Kind == OfferedKind.Pstore ? AnswerPstore(offer) : AnswerMetadata(offer);
        if (answer == OfferAnswer.Want)
        {
            _wanted.Enqueue(offer);
        }
        if (answer is OfferAnswer known)
        {
            session.Send(new FileAnswer(offer.Id, known));
        }
        return null;
    }

    public Violation? Take(in FileChunk chunk)
    {
        if (!_wanted.TryPeek(out FileOffer offer) || offer.Id != chunk.Id || chunk.Offset != (_dropped ?? _file?.Received ?? 0) || chunk.Bytes.Length > offer.Size - chunk.Offset)
        {
            return Violation.BadFileChunk;
        }
        if (_dropped is not null)
        {
            Drop(offer, chunk);
            return null;
        }
        try
        {
            // The reserve is for what comes once: metadata is offered again.
            _file ??= new IncomingFile(PathOf(offer), offer.Size, offer.Sha256, offer.Kind == OfferedKind.Pstore ? store.Reserve : null);
            _file.Add(chunk.Bytes);
        }
        catch (IOException e)
        {
            // No answer: the agent offers it again in its next session. The disk's fault is not the guest's, whose session goes on.
            log.FileNotStored(session.Guest.Name, offer.Name, e.Message);
            Drop(offer, chunk);
            return null;
        }
        return _file.Received == offer.Size ? Complete() : null;
    }

    public Violation? Take(in FileGone gone)
    {
        if (!_wanted.TryPeek(out FileOffer offer) || offer.Id != gone.Id)
        {
            return Violation.BadFileChunk;
        }
        _wanted.Dequeue();
        GiveUp(offer);
        return null;
    }

    /// <summary>The session is over: what came of an unfinished file is void.</summary>
    public void Abandon() => _file?.Dispose();

    /// <summary>Takes in what is still to come of a file that the disk did not take.</summary>
    private void Drop(in FileOffer offer, in FileChunk chunk)
    {
        long end = chunk.Offset + chunk.Bytes.Length;
        GiveUp(offer);
        if (end == offer.Size)
        {
            _wanted.Dequeue();
            return;
        }
        _dropped = end;
    }

    private void GiveUp(in FileOffer offer)
    {
        _file?.Dispose();
        _file = null;
        _dropped = null;
        if (offer.Kind == OfferedKind.Pstore)
        {
            lock (_pstoreOnTheWay)
            {
                _pstoreOnTheWay.Remove(IncomingFile.ShortHash(offer.Sha256.Span));
            }
        }
    }

    private Violation? Complete()
    {
        IncomingFile file = _file!;
        FileOffer offer = _wanted.Dequeue();
        _file = null;
        if (!file.HashMatches())
        {
            file.Dispose();
            return Violation.FileHashMismatch;
        }
        store.Worker.Post(offer.Name, () =>
        {
            file.Finish();
            file.Dispose();
            Stored(offer);
            session.Send(new FileStored(offer.Id));
        });
        return null;
    }

    /// <summary>On the storage thread.</summary>
    private void Stored(in FileOffer offer)
    {
        if (offer.Kind == OfferedKind.Metadata)
        {
            session.NameMetadata(offer.Name, Convert.ToHexStringLower(offer.Sha256.Span));
            return;
        }
        string hash = IncomingFile.ShortHash(offer.Sha256.Span);
        List<uint> same;
        lock (_pstoreOnTheWay)
        {
            session.Guest.Store.AddPstore(hash, offer.Size);
            _pstoreOnTheWay.Remove(hash, out same!);
        }
        log.PstoreStored(session.Guest.Name, offer.Name, offer.Size);
        foreach (uint id in same)
        {
            session.Send(new FileAnswer(id, OfferAnswer.Have));
        }
    }

    private OfferAnswer? AnswerMetadata(in FileOffer offer)
    {
        string sha256 = Convert.ToHexStringLower(offer.Sha256.Span);
        if (store.Metadata.Keep(sha256) || (offer.Size == 0 && store.Metadata.TryKeepEmpty(sha256)))
        {
            session.NameMetadata(offer.Name, sha256);
            return OfferAnswer.Have;
        }
        bool isFormat = offer.Name.StartsWith("events/", StringComparison.Ordinal);
        if (offer.Size is 0 or > MaxFileBytes || (isFormat && offer.Size > MaxFormatBytes) || _metadataBytes + offer.Size > MaxMetadataBytesPerSession)
        {
            return OfferAnswer.Refused;
        }
        _metadataBytes += offer.Size;
        return OfferAnswer.Want;
    }

    /// <returns>Null when the answer has to wait: the same record, from the other of the guest's two folders, is on its way.</returns>
    private OfferAnswer? AnswerPstore(in FileOffer offer)
    {
        string hash = IncomingFile.ShortHash(offer.Sha256.Span);
        lock (_pstoreOnTheWay)
        {
            if (session.Guest.Store.HasPstore(hash))
            {
                return OfferAnswer.Have;
            }
            if (_pstoreOnTheWay.TryGetValue(hash, out List<uint>? same))
            {
                same.Add(offer.Id);
                return null;
            }
            if (offer.Size is 0 or > MaxFileBytes || !IsFileName(offer.Name) || !session.Guest.Store.HasRoomForPstore(_pstoreBytes + offer.Size))
            {
                return OfferAnswer.Refused;
            }
            _pstoreBytes += offer.Size;
            _pstoreOnTheWay.Add(hash, []);
            return OfferAnswer.Want;
        }
    }

    private string PathOf(in FileOffer offer) => offer.Kind == OfferedKind.Pstore
        ? Path.Combine(StorePaths.Pstore(session.Boot.Folder), $"{offer.Name}-{IncomingFile.ShortHash(offer.Sha256.Span)}")
        : store.Metadata.PathOf(Convert.ToHexStringLower(offer.Sha256.Span));

    /// <summary>Metadata names are only ever keys of boot.json, but whoever reads that one day may make a path of them.</summary>
    private static bool IsPlainName(string name) =>
        name.Length > 0 && !name.StartsWith('/') && !name.Split('/').Any(part => part is "" or "." or "..") && !name.Any(c => char.IsControl(c) || c == '\uFFFD');

    private static bool IsFileName(string name) =>
        name.Length <= MaxPstoreNameChars && name[0] != '.' && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');
}
