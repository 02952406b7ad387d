namespace VsockPair.Export.Perfetto;

/// <summary>Field numbers of Perfetto's messages (<c>protos/perfetto/trace/</c> of google/perfetto).</summary>
internal static class PerfettoFields
{
    public const int TracePacket = 1;

    /// <summary>Of TracePacket.</summary>
    public static class Packet
    {
        public const int FtraceEvents = 1;
        public const int ProcessTree = 2;
        public const int ClockSnapshot = 6;
        public const int Timestamp = 8;
        public const int SequenceId = 10;
        public const int TrackEvent = 11;
        public const int InternedData = 12;
        public const int SequenceFlags = 13;
        public const int FtraceStats = 34;
        public const int AndroidLog = 39;
        public const int SystemInfo = 45;
        public const int TimestampClockId = 58;
        public const int TrackDescriptor = 60;
        public const int MachineId = 98;

        /// <summary><c>SEQ_INCREMENTAL_STATE_CLEARED</c>.</summary>
        public const ulong StateCleared = 1;

        /// <summary><c>SEQ_NEEDS_INCREMENTAL_STATE</c>.</summary>
        public const ulong NeedsState = 2;
    }

    /// <summary>Of FtraceEventBundle.</summary>
    public static class Bundle
    {
        public const int Cpu = 1;
        public const int Event = 2;
        public const int LostEvents = 3;
    }

    /// <summary>Of FtraceEvent.</summary>
    public static class Event
    {
        public const int Timestamp = 1;
        public const int Pid = 2;
        public const int Generic = 327;
    }

    /// <summary>Of GenericFtraceEvent.</summary>
    public static class Generic
    {
        public const int Name = 1;
        public const int Field = 2;
        public const int FieldName = 1;
        public const int FieldText = 3;
        public const int FieldSigned = 4;
        public const int FieldUnsigned = 5;
    }

    /// <summary>Of TrackDescriptor and TrackEvent.</summary>
    public static class Track
    {
        public const int Uuid = 1;
        public const int Name = 2;
        public const int EventType = 9;
        public const int EventTrack = 11;
        public const int EventCategory = 22;
        public const int EventName = 23;
        public const ulong Instant = 3;
    }

    /// <summary>Of PrintFtraceEvent.</summary>
    public static class Print
    {
        public const int Event = 3;
        public const int Ip = 1;
        public const int Text = 2;
    }

    /// <summary>Of AndroidLogPacket and its events. Times are of the real-time clock.</summary>
    public static class Log
    {
        public const int Event = 1;
        public const int Id = 1;
        public const int Timestamp = 5;
        public const int Tag = 6;
        public const int Priority = 7;
        public const int Message = 8;

        /// <summary><c>LID_KERNEL</c>.</summary>
        public const ulong Kernel = 7;
    }

    /// <summary>Of FtraceStats, and of FtraceCpuStats in it.</summary>
    public static class Stats
    {
        public const int Phase = 1;
        public const int Cpus = 2;
        public const int Cpu = 1;
        public const int Entries = 2;
        public const int Overrun = 3;
        public const int ReadEvents = 9;
        public const ulong StartOfTrace = 1;
        public const ulong EndOfTrace = 2;
    }

    /// <summary>Of InternedData, and of the strings in it.</summary>
    public static class Interned
    {
        public const int KernelSymbols = 26;
        public const int Id = 1;
        public const int Text = 2;
    }

    /// <summary>Of ClockSnapshot.</summary>
    public static class Clock
    {
        public const int Clocks = 1;
        public const int PrimaryTraceClock = 2;
        public const int Id = 1;
        public const int Timestamp = 2;
        public const ulong RealTime = 1;
        public const ulong BootTime = 6;
    }

    /// <summary>Of ProcessTree.</summary>
    public static class Processes
    {
        public const int Process = 1;
        public const int ProcessPid = 1;
        public const int ProcessCommandLine = 3;
        public const int Thread = 2;
        public const int ThreadTid = 1;
        public const int ThreadName = 2;
        public const int ThreadTgid = 3;
    }

    /// <summary>Of SystemInfo.</summary>
    public static class System
    {
        public const int Utsname = 1;
        public const int UtsnameSysname = 1;
        public const int UtsnameRelease = 3;
        public const int CpuCount = 8;
        public const int MachineName = 17;
    }
}
