using Microsoft.Extensions.Logging;
using VsockPair.Protocol;
using VsockPair.Storage;
using VsockPair.Text;

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

    /// <summary>Bytes passed over of the file at the head of the queue, which the disk did not take.</summary>
    private long? _dropped;
    private readonly Dictionary<string, List<FileOffer>> _pstoreOnTheWay = new(StringComparer.Ordinal);
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
            log.FileNotStored(session.Guest.Name, TerminalText.EscapeShort(offer.Name), e.Message);
            GiveUp(offer);
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
        if (_dropped is null)
        {
            GiveUp(offer);
        }
        _dropped = null;
        return null;
    }

    /// <summary>Passes over what still comes of a file that the disk did not take.</summary>
    private void Drop(in FileOffer offer, in FileChunk chunk)
    {
        _dropped = chunk.Offset + chunk.Bytes.Length;
        if (_dropped == offer.Size)
        {
            _wanted.Dequeue();
            _dropped = null;
        }
    }

    private void GiveUp(in FileOffer offer)
    {
        _file?.Dispose();
        _file = null;
        if (offer.Kind == OfferedKind.Pstore)
        {
            AskForSame(IncomingFile.ShortHash(offer.Sha256.Span));
        }
    }

    /// <summary>A record that was on its way is not coming: whichever offer of the same one waits is wanted instead.</summary>
    private void AskForSame(string hash)
    {
        FileOffer next;
        lock (_pstoreOnTheWay)
        {
            List<FileOffer> same = _pstoreOnTheWay[hash];
            if (same.Count == 0)
            {
                _pstoreOnTheWay.Remove(hash);
                return;
            }
            next = same[0];
            same.RemoveAt(0);
        }
        _wanted.Enqueue(next);
        session.Send(new FileAnswer(next.Id, OfferAnswer.Want));
    }

    /// <summary>The session is over: what came of an unfinished file is void.</summary>
    public void Abandon() => _file?.Dispose();

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
        store.Worker.Post(TerminalText.EscapeShort(offer.Name), () =>
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
        List<FileOffer> same;
        lock (_pstoreOnTheWay)
        {
            session.Guest.Store.AddPstore(hash, offer.Size);
            _pstoreOnTheWay.Remove(hash, out same!);
        }
        log.PstoreStored(session.Guest.Name, offer.Name, offer.Size);
        foreach (FileOffer other in same)
        {
            session.Send(new FileAnswer(other.Id, OfferAnswer.Have));
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
            if (_pstoreOnTheWay.TryGetValue(hash, out List<FileOffer>? same))
            {
                same.Add(offer);
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
