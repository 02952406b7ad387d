namespace VsockPair.Protocol;

/// <summary>Both directions, every <see cref="Wire.HeartbeatInterval"/>; <see cref="Wire.DeadAfter"/> without any frame ends the session.</summary>
/// <param name="Number">Counts from 0 per session and direction.</param>
public readonly record struct Heartbeat(ulong Number) : IMessage<Heartbeat>
{
    public static MessageType Type => MessageType.Heartbeat;

    public int Fields => 1;

    public void Write(ref FrameWriter writer) => writer.Write(Number);

    public static bool TryRead(ref FrameReader reader, out Heartbeat message)
    {
        bool read = reader.TryRead(out ulong number);
        message = new Heartbeat(number);
        return read;
    }
}

/// <summary>Collector → agent: answer at once with the clocks.</summary>
/// <param name="WithLocalClock">Read the guest's <c>local</c> clock as well, which costs a file read.</param>
public readonly record struct Ping(ulong Number, bool WithLocalClock) : IMessage<Ping>
{
    public static MessageType Type => MessageType.Ping;

    public int Fields => 2;

    public void Write(ref FrameWriter writer)
    {
        writer.Write(Number);
        writer.Write(WithLocalClock ? 1u : 0u);
    }

    public static bool TryRead(ref FrameReader reader, out Ping message)
    {
        bool read = reader.TryRead(out ulong number) & reader.TryRead(out uint withLocalClock);
        message = new Ping(number, withLocalClock != 0);
        return read;
    }
}

/// <summary>Agent → collector: the clocks at the moment of the Ping, in nanoseconds.</summary>
/// <param name="Boot">CLOCK_BOOTTIME, which is the trace clock <c>boot</c>.</param>
/// <param name="RealTime">CLOCK_REALTIME.</param>
/// <param name="Local">The kernel's <c>local_clock()</c>, what printk stamps, read at <paramref name="LocalAtBoot"/>; nil if not asked for or not known.</param>
/// <param name="LocalAtBoot">CLOCK_BOOTTIME in the middle of reading <paramref name="Local"/>.</param>
/// <param name="LocalError">Half the time that reading took.</param>
public readonly record struct Pong(ulong Number, long Boot, long RealTime, long? Local, long? LocalAtBoot, long? LocalError) : IMessage<Pong>
{
    public static MessageType Type => MessageType.Pong;

    public int Fields => 6;

    public void Write(ref FrameWriter writer)
    {
        writer.Write(Number);
        writer.Write(Boot);
        writer.Write(RealTime);
        writer.Write(Local);
        writer.Write(LocalAtBoot);
        writer.Write(LocalError);
    }

    public static bool TryRead(ref FrameReader reader, out Pong message)
    {
        bool read = reader.TryRead(out ulong number) & reader.TryRead(out long boot) & reader.TryRead(out long realTime)
            & reader.TryRead(out long? local) & reader.TryRead(out long? localAtBoot) & reader.TryRead(out long? localError);
        message = new Pong(number, boot, realTime, local, localAtBoot, localError);
        return read;
    }
}

/// <summary>Collector → agent: the collector is about to stop. The agent ends each stream at a record's end, shuts its side down and comes back later.</summary>
public readonly record struct Stop(string Reason) : IMessage<Stop>
{
    public static MessageType Type => MessageType.Stop;

    public int Fields => 1;

    public void Write(ref FrameWriter writer) => writer.Write(Reason);

    public static bool TryRead(ref FrameReader reader, out Stop message)
    {
        bool read = reader.TryRead(out string reason);
        message = new Stop(reason);
        return read;
    }
}

/// <summary>Agent → collector: last frame of a session that the agent ends in good order; the final counters came before it.</summary>
public readonly record struct Goodbye(string Reason) : IMessage<Goodbye>
{
    public static MessageType Type => MessageType.Goodbye;

    public int Fields => 1;

    public void Write(ref FrameWriter writer) => writer.Write(Reason);

    public static bool TryRead(ref FrameReader reader, out Goodbye message)
    {
        bool read = reader.TryRead(out string reason);
        message = new Goodbye(reason);
        return read;
    }
}

/// <summary>Agent → collector: a ring's counters, read while the stream's pipe was empty. Fields as in <see cref="BulkHello"/>.</summary>
/// <param name="Final">Nothing of this ring will come any more: it is drained, or was thrown away and its unread events are in <paramref name="LostEvents"/>.</param>
public readonly record struct StreamCounters(int Cpu, Guid Generation, ulong ReadEvents, ulong LostEvents, bool Final) : IMessage<StreamCounters>
{
    public static MessageType Type => MessageType.StreamCounters;

    public int Fields => 5;

    public void Write(ref FrameWriter writer)
    {
        writer.Write((uint)Cpu);
        writer.Write(Generation);
        writer.Write(ReadEvents);
        writer.Write(LostEvents);
        writer.Write(Final ? 1u : 0u);
    }

    public static bool TryRead(ref FrameReader reader, out StreamCounters message)
    {
        bool read = reader.TryRead(int.MaxValue, out int cpu) & reader.TryRead(out Guid generation) & reader.TryRead(out ulong readEvents)
            & reader.TryRead(out ulong lostEvents) & reader.TryRead(out uint final);
        message = new StreamCounters(cpu, generation, readEvents, lostEvents, final != 0);
        return read;
    }
}

/// <summary>Agent → collector: a stopping agent's last word of a ring that it could not drain. The events stay in it for the next agent of this boot.</summary>
public readonly record struct EventsLeft(int Cpu, Guid Generation, ulong Events) : IMessage<EventsLeft>
{
    public static MessageType Type => MessageType.EventsLeft;

    public int Fields => 3;

    public void Write(ref FrameWriter writer)
    {
        writer.Write((uint)Cpu);
        writer.Write(Generation);
        writer.Write(Events);
    }

    public static bool TryRead(ref FrameReader reader, out EventsLeft message)
    {
        bool read = reader.TryRead(int.MaxValue, out int cpu) & reader.TryRead(out Guid generation) & reader.TryRead(out ulong events);
        message = new EventsLeft(cpu, generation, events);
        return read;
    }
}
