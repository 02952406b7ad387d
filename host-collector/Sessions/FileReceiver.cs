using Microsoft.Extensions.Logging;
using VsockPair.Protocol;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Sessions;

/// <summary>
/// The offers of one session: what the store lacks is asked for and taken in, one file after the other (PROTOCOL.md §8). Called by the control loop alone;
/// only what ends a file runs on the storage thread.
/// </summary>
internal sealed class FileReceiver(GuestSession session, CollectorStore store, DiskState disk, ILogger log)
{
    private const long MaxFileBytes = 32L << 20;
    private const long MaxFormatBytes = 64L << 10;
    private const int MaxOffers = 4096;
    private const long MaxMetadataBytesPerSession = 128L << 20;
    private const int MaxMetadataNameChars = 256;
    private const int MaxPstoreNameChars = 128;

    private readonly HashSet<uint> _ids = [];
    private readonly Queue<FileOffer> _wanted = new();

    /// <summary>Offered while the disk was full.</summary>
    private readonly Queue<FileOffer> _unanswered = new();

    /// <summary>What comes of the first one wanted.</summary>
    private IncomingFile? _file;
    private readonly Dictionary<string, List<FileOffer>> _pstoreOnTheWay = new(StringComparer.Ordinal);
    private long _metadataBytes;

    /// <summary>Of records that were asked for and are not stored yet.</summary>
    private long _pstoreBytes;

    /// <summary>As <see cref="_pstoreBytes"/>, of the persistent ring. Also changed by the storage thread.</summary>
    private long _previousBytes;

    public Violation? Take(in FileOffer offer)
    {
        if (_ids.Count >= MaxOffers || !_ids.Add(offer.Id) || !IsPlainName(offer.Name))
        {
            return Violation.BadFileOffer;
        }
        Answer(offer);
        return null;
    }

    /// <summary>Answers what had to wait for room on the disk. With every frame that comes, so with every heartbeat.</summary>
    public void AnswerWaiting()
    {
        while (!disk.IsFull && _unanswered.TryDequeue(out FileOffer offer))
        {
            Answer(offer);
        }
    }

    public Violation? Take(in FileChunk chunk)
    {
        if (!_wanted.TryPeek(out FileOffer offer) || offer.Id != chunk.Id || chunk.Offset != (_file?.Received ?? 0) || chunk.Bytes.Length > offer.Size - chunk.Offset)
        {
            return Violation.BadFileChunk;
        }
        // The reserve is for what comes once: metadata is offered again.
        bool isPstore = offer.Kind == OfferedKind.Pstore;
        _file ??= new IncomingFile(PathOf(offer), offer.Size, offer.Sha256, isPstore ? store.Reserve : null, isPstore ? offer.ModifiedNanoseconds : 0);
        try
        {
            _file.Add(chunk.Bytes);
        }
        catch (IOException e)
        {
            // No answer: the agent offers it again in its next session. The disk's fault is not the guest's, whose session goes on.
            log.FileNotStored(session.Guest.Name, TerminalText.EscapeShort(offer.Name), e.Message);
            if (DiskReserve.IsFull(e))
            {
                disk.ReportFull();
            }
            IsNotComing(offer);
        }
        return _file.IsWhole ? Complete() : null;
    }

    public Violation? Take(in FileGone gone)
    {
        if (!_wanted.TryPeek(out FileOffer offer) || offer.Id != gone.Id)
        {
            return Violation.BadFileChunk;
        }
        _wanted.Dequeue();
        if (_file is not { IsPassedOver: true })
        {
            IsNotComing(offer);
        }
        Abandon();
        return null;
    }

    /// <summary>The session is over: what came of an unfinished file is void.</summary>
    public void Abandon()
    {
        _file?.Dispose();
        _file = null;
    }

    private void Answer(in FileOffer offer)
    {
        OfferAnswer? answer = offer.Kind switch
        {
            OfferedKind.Pstore => AnswerPstore(offer),
            OfferedKind.Previous => AnswerPrevious(offer),
            _ => AnswerMetadata(offer),
        };
        if (answer == OfferAnswer.Want)
        {
            _wanted.Enqueue(offer);
        }
        if (answer is OfferAnswer known)
        {
            session.Send(new FileAnswer(offer.Id, known));
        }
    }

    private void IsNotComing(in FileOffer offer)
    {
        if (offer.Kind == OfferedKind.Pstore)
        {
            AskForSame(offer);
        }
        else if (offer.Kind == OfferedKind.Previous)
        {
            Interlocked.Add(ref _previousBytes, -offer.Size);
        }
    }

    /// <summary>A record that was on its way is not coming: whichever offer of the same one waits is wanted instead.</summary>
    private void AskForSame(in FileOffer gone)
    {
        string hash = IncomingFile.ShortHash(gone.Sha256.Span);
        FileOffer next;
        lock (_pstoreOnTheWay)
        {
            List<FileOffer> same = _pstoreOnTheWay[hash];
            if (same.Count == 0)
            {
                _pstoreOnTheWay.Remove(hash);
                _pstoreBytes -= gone.Size;
                return;
            }
            next = same[0];
            same.RemoveAt(0);
        }
        _wanted.Enqueue(next);
        session.Send(new FileAnswer(next.Id, OfferAnswer.Want));
    }

    private Violation? Complete()
    {
        IncomingFile file = _file!;
        FileOffer offer = _wanted.Dequeue();
        _file = null;
        if (file.IsPassedOver || !file.HashMatches())
        {
            file.Dispose();
            return file.IsPassedOver ? null : Violation.FileHashMismatch;
        }
        bool isMetadata = offer.Kind == OfferedKind.Metadata;
        string sha256 = Convert.ToHexStringLower(offer.Sha256.Span);
        if (isMetadata)
        {
            // Another guest may have it as well and let go of it in this moment.
            store.Metadata.Hold(sha256);
        }
        // It may be done, or tried again, after the session's end; the control loop that we are in holds the boot as well.
        session.Boot.Holds.TryTake();
        store.Worker.Post(TerminalText.EscapeShort(offer.Name), () =>
        {
            file.Finish();
            file.Dispose();
            bool isStored = true;
            switch (offer.Kind)
            {
                case OfferedKind.Metadata:
                    Name(offer.Name, sha256);
                    break;
                case OfferedKind.Pstore:
                    StoredPstore(offer);
                    break;
                default:
                    isStored = StoredPrevious(offer);
                    break;
            }
            session.Boot.Holds.Return();
            if (isStored)
            {
                session.Send(new FileStored(offer.Id));
            }
        });
        return null;
    }

    /// <summary>On the storage thread.</summary>
    /// <returns>False when it was no trace: it is gone, and so is the session.</returns>
    private bool StoredPrevious(in FileOffer offer)
    {
        string path = GuestPrevious.PathOf(session.Boot.Folder, offer.Name, session.Vcpus, out int subBufferBytes)!;
        if (subBufferBytes > 0 && !SegmentRecovery.TryClose(path, subBufferBytes))
        {
            File.Delete(path);
            session.Guest.Report(Violation.BadBulkRecord, "control");
            _ = session.EndAsync(EndReasons.Closed);
            return false;
        }
        GuestStore guest = session.Guest.Store;
        string boot = session.Boot.Folder;
        guest.Previous.Add(boot, offer.Size);
        Interlocked.Add(ref _previousBytes, -offer.Size);
        // A job of its own: tried again, it must not count the file a second time.
        store.Worker.Post(GuestPrevious.Stream, () => guest.TrimPrevious(boot));
        if (offer.Name == GuestPrevious.Info)
        {
            log.PreviousStored(session.Guest.Name, session.Boot.Name);
        }
        return true;
    }

    /// <summary>On the storage thread.</summary>
    private void StoredPstore(in FileOffer offer)
    {
        string hash = IncomingFile.ShortHash(offer.Sha256.Span);
        List<FileOffer> same;
        lock (_pstoreOnTheWay)
        {
            session.Guest.Store.Pstore.Add(hash, offer.Size);
            _pstoreBytes -= offer.Size;
            _pstoreOnTheWay.Remove(hash, out same!);
        }
        log.PstoreStored(session.Guest.Name, offer.Name, offer.Size);
        foreach (FileOffer other in same)
        {
            session.Send(new FileAnswer(other.Id, OfferAnswer.Have));
        }
    }

    /// <summary>Names a metadata file that this receiver holds, and lets go of it: what has no name then is removed. Any thread.</summary>
    private bool Name(string name, string sha256)
    {
        string whole = name == SavedThreadNames.Name ? WithOlderNames(sha256) : sha256;
        bool named = session.Boot.TryNameMetadata(name, whole);
        store.Metadata.Release(whole);
        if (!named && session.Guest.MayLog())
        {
            log.MetadataRefused(session.Guest.Name, TerminalText.EscapeShort(name));
        }
        return named;
    }

    /// <returns>What is held instead of the file that was held.</returns>
    private string WithOlderNames(string sha256)
    {
        MetadataStore files = store.Metadata;
        if (session.Boot.Record.Metadata.GetValueOrDefault(SavedThreadNames.Name) is not string older || older == sha256
            || files.BytesOf(older) > SavedThreadNames.MaxBytes || files.BytesOf(sha256) > SavedThreadNames.MaxBytes)
        {
            return sha256;
        }
        try
        {
            if (SavedThreadNames.Merge(File.ReadAllBytes(files.PathOf(sha256)), File.ReadAllBytes(files.PathOf(older))) is byte[] merged)
            {
                string whole = files.HoldNew(merged);
                files.Release(sha256);
                return whole;
            }
        }
        catch (IOException e)
        {
            // The newest names are better than none.
            log.FileNotStored(session.Guest.Name, SavedThreadNames.Name, e.Message);
        }
        return sha256;
    }

    /// <returns>Null when the answer has to wait for room on the disk.</returns>
    private OfferAnswer? AnswerMetadata(in FileOffer offer)
    {
        bool isFormat = offer.Name.StartsWith("events/", StringComparison.Ordinal);
        if (offer.Name.Length > MaxMetadataNameChars || offer.Size > (isFormat ? MaxFormatBytes : MaxFileBytes))
        {
            return OfferAnswer.Refused;
        }
        string sha256 = Convert.ToHexStringLower(offer.Sha256.Span);
        if (store.Metadata.TryHold(sha256))
        {
            return Name(offer.Name, sha256) ? OfferAnswer.Have : OfferAnswer.Refused;
        }
        if (disk.IsFull)
        {
            _unanswered.Enqueue(offer);
            return null;
        }
        if (offer.Size == 0)
        {
            return store.Metadata.TryHoldEmpty(sha256) && Name(offer.Name, sha256) ? OfferAnswer.Have : OfferAnswer.Refused;
        }
        if (_metadataBytes + offer.Size > MaxMetadataBytesPerSession || !session.Guest.Store.Metadata.HasRoom(offer.Size))
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
            if (session.Guest.Store.Pstore.Has(hash))
            {
                return OfferAnswer.Have;
            }
            if (_pstoreOnTheWay.TryGetValue(hash, out List<FileOffer>? same))
            {
                same.Add(offer);
                return null;
            }
            if (offer.Size is 0 or > MaxFileBytes || !IsFileName(offer.Name) || !session.Guest.Store.Pstore.HasRoom(_pstoreBytes + offer.Size))
            {
                return OfferAnswer.Refused;
            }
            _pstoreBytes += offer.Size;
            _pstoreOnTheWay.Add(hash, []);
            return OfferAnswer.Want;
        }
    }

    /// <returns>Null when the answer has to wait for room on the disk.</returns>
    private OfferAnswer? AnswerPrevious(in FileOffer offer)
    {
        if (disk.IsFull)
        {
            _unanswered.Enqueue(offer);
            return null;
        }
        OfferAnswer answer = offer.Size > MaxFileBytes
            ? OfferAnswer.Refused
            : session.Guest.Store.Previous.Answer(session.Boot.Folder, offer, session.Vcpus, Interlocked.Read(ref _previousBytes));
        Interlocked.Add(ref _previousBytes, answer == OfferAnswer.Want ? offer.Size : 0);
        return answer;
    }

    private string PathOf(in FileOffer offer) => offer.Kind switch
    {
        OfferedKind.Pstore => Path.Combine(StorePaths.Pstore(session.Boot.Folder), $"{offer.Name}-{IncomingFile.ShortHash(offer.Sha256.Span)}"),
        OfferedKind.Previous => GuestPrevious.PathOf(session.Boot.Folder, offer.Name, session.Vcpus, out _)!,
        _ => store.Metadata.PathOf(Convert.ToHexStringLower(offer.Sha256.Span)),
    };

    /// <summary>Metadata names are only ever keys of boot.json, but whoever reads that one day may make a path of them.</summary>
    private static bool IsPlainName(string name) =>
        name.Length > 0 && !name.StartsWith('/') && !name.Split('/').Any(part => part is "" or "." or "..") && !name.Any(c => char.IsControl(c) || c == '\uFFFD');

    private static bool IsFileName(string name) =>
        name.Length <= MaxPstoreNameChars && name[0] != '.' && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');
}
