using System.Globalization;
using System.Numerics;
using Microsoft.Extensions.Logging;
using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Sessions;

/// <summary>What happens to a connection once its Hello is there: refused, or taken into a session and served to its end. One task per connection.</summary>
internal sealed class ConnectionAdmission(
    CollectorStore store, DiskState disk, SessionRegistry registry, BulkLoops loops, SessionTimes times, ILogger<ConnectionAdmission> log)
{
    /// <summary>The peer waits no longer than this either.</summary>
    private static readonly TimeSpan AdmissionPatience = Wire.HandshakeTimeout;

    /// <summary>Takes the connection over.</summary>
    public void Begin(PeerConnection connection, byte[] hello) => Task.Run(async () =>
    {
        try
        {
            await AdmitAsync(connection, hello).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (connection.Guest.MayLog())
            {
                log.StoreNotWritable(connection.Guest.Name, e.Message);
            }
            connection.Refuse(RefusalReason.StoreNotWritable, "the store cannot be written");
        }
        catch (Exception e)
        {
            // A guest may have found a way to it: it ends what that guest has here, and nothing else.
            connection.Dispose();
            connection.Guest.ReportFault(e);
        }
    });

    private Task AdmitAsync(PeerConnection connection, ReadOnlyMemory<byte> body)
    {
        bool read = Frame.TryDecode(body.Span, out Hello hello);
        bool isHello = Frame.TryReadType(body.Span, out MessageType type) && type == MessageType.Hello;
        if (isHello && hello.NewestVersion > 0 && (hello.OldestVersion > Wire.NewestVersion || hello.NewestVersion < Wire.OldestVersion))
        {
            return Refuse(connection, Violation.VersionNotSpoken, RefusalReason.VersionNotSpoken,
                string.Create(CultureInfo.InvariantCulture, $"this collector speaks {Wire.OldestVersion} to {Wire.NewestVersion}"));
        }
        if (!read || hello.OldestVersion > hello.NewestVersion || hello.NewestVersion < Wire.OldestVersion)
        {
            return Refuse(connection, Violation.BadHello, RefusalReason.BadHello, "no valid Hello");
        }
        if (registry.IsStopping)
        {
            connection.Refuse(RefusalReason.Stopping, "the collector stops");
            return Task.CompletedTask;
        }
        if (hello.Kind == ConnectionKind.Control)
        {
            return AdmitControlAsync(connection, hello);
        }
        GuestSession? session = registry.Find(hello.Token, connection.Guest, hello.BootId);
        if (session is null)
        {
            return Refuse(connection, Violation.UnknownToken, RefusalReason.NoSuchSession, "no such session");
        }
        return ServeAsync(connection, session, hello);
    }

    private async Task ServeAsync(PeerConnection connection, GuestSession session, Hello hello)
    {
        if (!session.Boot.Holds.TryTake())
        {
            RefuseEnded(connection);
            return;
        }
        try
        {
            session.Confirm();
            await (hello.Kind switch
            {
                ConnectionKind.Bulk => AdmitBulkAsync(connection, session, hello),
                ConnectionKind.Kmsg => InPlaceAsync(connection, session.KmsgPlaces, () => AdmitKmsgAsync(connection, session, hello)),
                _ => InPlaceAsync(connection, session.ProbePlaces, () => ProbeConnection.RunAsync(connection, session, Answer(session, hello), hello.ProbeBytes)),
            }).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not (IOException or UnauthorizedAccessException))
        {
            await session.EndAsync(EndReasons.Closed).ConfigureAwait(false);
            throw;
        }
        finally
        {
            session.Boot.Holds.Return();
        }
    }

    private async Task AdmitControlAsync(PeerConnection connection, Hello hello)
    {
        Guest guest = connection.Guest;
        if (connection.IsVsock && connection.Peer.Port > StreamSocket.LastPrivilegedPort)
        {
            await Refuse(connection, Violation.PortNotPrivileged, RefusalReason.PortNotPrivileged, "the control connection comes from a port below 1024").ConfigureAwait(false);
            return;
        }
        if (!await guest.Admission.WaitAsync(AdmissionPatience).ConfigureAwait(false))
        {
            connection.Refuse(RefusalReason.StoreNotWritable, "the older sessions of this guest cannot be brought to their end");
            return;
        }
        GuestSession? session;
        try
        {
            session = await BeginSessionAsync(connection, guest, hello).ConfigureAwait(false);
        }
        finally
        {
            guest.Admission.Release();
        }
        if (session is null)
        {
            return;
        }
        string reason = EndReasons.Closed;
        try
        {
            session.Send(Answer(session, hello));
            if (guest.MayLog())
            {
                log.SessionBegun(guest.Name, guest.Identity.IdentifiedBy, session.Boot.Name, TerminalText.EscapeShort(hello.Control.KernelRelease), session.Vcpus);
            }
            reason = await session.RunAsync().ConfigureAwait(false);
        }
        finally
        {
            await session.EndAsync(registry.IsStopping ? EndReasons.Stopped : reason).ConfigureAwait(false);
            session.Boot.Holds.Return();
        }
    }

    /// <summary>
    /// From choosing the boot until the session is known to its guest, one Hello of a guest after the other: one that did not yet see the other's session would record
    /// that one's boot as superseded while it lives.
    /// </summary>
    /// <returns>A session whose boot is held; null when nobody waits for it any more.</returns>
    private async Task<GuestSession?> BeginSessionAsync(PeerConnection connection, Guest guest, Hello hello)
    {
        if (connection.HasHungUp || registry.IsStopping)
        {
            connection.Refuse(RefusalReason.Stopping, "the collector stops");
            return null;
        }
        Guid id = Guid.NewGuid();
        BootStore boot = guest.Store.BeginSession(hello.BootId, hello.Control, id);
        try
        {
            SaveGuest(guest, hello.Control);
            IReadOnlyList<GuestSession> others = guest.Sessions;
            foreach (GuestSession other in others)
            {
                // Another life of the same boot may run beside this one; another boot of the same guest cannot.
                if (other.Boot == boot || other.Boot.Record.BootId != hello.BootId || (other == others[0] && others.Count >= Guest.MaxSessions))
                {
                    await other.EndAsync(other.Boot == boot ? EndReasons.Closed : EndReasons.Superseded).ConfigureAwait(false);
                }
            }
            foreach (BootStore old in guest.Store.Boots.Where(b => b.Record.BootId != hello.BootId && b.Record.Ended is null))
            {
                old.Change(r => r with { Ended = store.Now, EndReason = EndReasons.Superseded });
            }
            GuestSession session = new(guest, boot, id, hello.Control, new FrameConnection(connection), store, disk, registry, times, log);
            guest.Add(session);
            registry.Add(session);
            return session;
        }
        catch
        {
            boot.EndSession(id, EndReasons.Closed);
            boot.Holds.Return();
            throw;
        }
    }

    private async Task AdmitBulkAsync(PeerConnection connection, GuestSession session, Hello hello)
    {
        BulkHello bulk = hello.Bulk;
        if (bulk.Cpu >= session.Vcpus)
        {
            await Refuse(connection, Violation.CpuOutOfRange, RefusalReason.CpuOutOfRange, "cpu number above the limit, or above what the session's Hello has told").ConfigureAwait(false);
            return;
        }
        if (!BitOperations.IsPow2(bulk.SubBufferBytes) || bulk.SubBufferBytes is < Wire.MinSubBufferBytes or > Wire.MaxSubBufferBytes)
        {
            await Refuse(connection, Violation.BadSubBufferSize, RefusalReason.SubBufferSize, "sub-buffers have 4096 to 524288 bytes, a power of two").ConfigureAwait(false);
            return;
        }
        VcpuStream stream = session.Boot.Stream(bulk.Cpu);
        BulkSlot slot = stream.Slot;
        if (!await slot.Admission.WaitAsync(AdmissionPatience).ConfigureAwait(false))
        {
            RefuseBusy(connection);
            return;
        }
        try
        {
            if (slot.Current is BulkConnection older)
            {
                if (!await older.DrainAsync().ConfigureAwait(false))
                {
                    RefuseBusy(connection);
                    return;
                }
                slot.Current = null;
            }
            RingRecord? ring = stream.Ring;
            if (ring?.Generation == bulk.Generation && ring.SubBufferBytes != bulk.SubBufferBytes)
            {
                await Refuse(connection, Violation.BadSubBufferSize, RefusalReason.SubBufferSize, "this ring had sub-buffers of another size").ConfigureAwait(false);
                return;
            }
            if (!stream.Settle(bulk))
            {
                session.Guest.Report(Violation.CountersDoNotAddUp, stream.Name);
            }
            // For the ring's record, which a new generation writes.
            session.Guest.Budget.Take(DiskSpace.PageBytes);
            BulkLoop loop = loops.Choose();
            BulkConnection admitted = new(connection, session, stream, bulk.SubBufferBytes, loop);
            if (!session.TryAdopt(admitted))
            {
                RefuseEnded(connection);
                return;
            }
            slot.Current = admitted;
            // A Welcome that the peer does not take shows in the loop as the end of the stream.
            connection.TrySend(Answer(session, hello));
            loop.Add(admitted);
        }
        finally
        {
            slot.Admission.Release();
        }
    }

    private async Task AdmitKmsgAsync(PeerConnection connection, GuestSession session, Hello hello)
    {
        KmsgStream stream = session.Boot.Kmsg();
        if (await session.AdoptKmsgAsync(() => new KmsgConnection(session, stream, new FrameConnection(connection))).ConfigureAwait(false) is KmsgConnection kmsg)
        {
            await kmsg.RunAsync(Answer(session, hello)).ConfigureAwait(false);
        }
        else
        {
            RefuseEnded(connection);
        }
    }

    private static async Task InPlaceAsync(PeerConnection connection, SemaphoreSlim places, Func<Task> serve)
    {
        if (!places.Wait(0))
        {
            await Refuse(connection, Violation.TooManyConnections, RefusalReason.TooManyConnections, "this session has such a connection already").ConfigureAwait(false);
            return;
        }
        try
        {
            await serve().ConfigureAwait(false);
        }
        finally
        {
            places.Release();
        }
    }

    private static void RefuseEnded(PeerConnection connection) => connection.Refuse(RefusalReason.NoSuchSession, "the session has ended");

    private static void RefuseBusy(PeerConnection connection) =>
        connection.Refuse(RefusalReason.StoreNotWritable, "the older connection of this cpu cannot be brought to its end");

    private Welcome Answer(GuestSession session, in Hello hello) => new(
        Math.Min(hello.NewestVersion, Wire.NewestVersion),
        session.Id,
        session.Token,
        hello.Kind == ConnectionKind.Kmsg ? session.Boot.Kmsg().NextSequence : 0,
        registry.MaxCpus,
        hello.Kind == ConnectionKind.Control ? CollectorCapabilities.PreviousTrace : null);

    private void SaveGuest(Guest guest, ControlHello claims) => guest.Store.SaveRecord(old => new GuestRecord
    {
        Name = guest.Name,
        IdentifiedBy = guest.Identity.IdentifiedBy,
        Cid = guest.Identity.Cid,
        Socket = guest.Identity.Socket,
        ClaimedNodeName = claims.NodeName,
        ClaimedNotes = claims.Notes,
        FirstSeen = old?.FirstSeen ?? store.Now,
        LastSeen = store.Now,
    });

    private static Task Refuse(PeerConnection connection, Violation violation, RefusalReason reason, string text)
    {
        connection.Guest.Report(violation, "handshake");
        connection.Refuse(reason, text);
        return Task.CompletedTask;
    }
}
