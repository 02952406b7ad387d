using System.Buffers.Binary;
using System.Text;
using VsockPair.Commands;
using VsockPair.Text;

namespace VsockPair.Export;

/// <summary>
/// The host's own trace.dat (version 7), as far as a guest's needs it to be merged with: its trace id and its clock. Only the head and the options are read.
/// </summary>
internal sealed class HostTraceFile
{
    /// <summary>The one clock of ftrace that the samples know of the host: <c>trace-cmd record -C mono</c>.</summary>
    private const string WantedClock = "mono";

    private const ushort OptionDone = 0;
    private const ushort OptionDate = 1;
    private const ushort OptionBuffer = 3;
    private const ushort OptionOffset = 7;
    private const ushort OptionTraceId = 11;
    private const int SectionHeadBytes = 16;
    private const int OptionHeadBytes = 6;
    private const int MostOptionsBytes = 64 << 20;
    private const int MostSections = 64;

    private readonly string _path;
    private readonly FileStream _file;
    private ulong? _id;
    private string? _clock;

    private HostTraceFile(string path, FileStream file)
    {
        _path = TerminalText.Escape(path);
        _file = file;
    }

    public ulong Id => _id!.Value;

    /// <exception cref="CommandFailure">The file cannot be read, or its events cannot be merged with those of a guest.</exception>
    public static HostTraceFile Read(string path)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            HostTraceFile trace = new(path, file);
            trace.ReadOptions(trace.ReadHead());
            trace.Check();
            return trace;
        }
        catch (EndOfStreamException)
        {
            throw new CommandFailure(ExitCode.Failed, $"{TerminalText.Escape(path)} is cut short: its options cannot be read");
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            throw new CommandFailure(ExitCode.Failed, $"{TerminalText.Escape(path)} cannot be read: {TerminalText.Escape(e.Message)}");
        }
    }

    /// <returns>Where the options begin.</returns>
    private long ReadHead()
    {
        Span<byte> magic = stackalloc byte[10];
        _file.ReadExactly(magic);
        if (!magic.SequenceEqual("\x17\x08\x44tracing"u8))
        {
            throw Refuse("is no trace.dat");
        }
        string version = ReadText();
        if (version != "7")
        {
            throw Refuse($"is a trace.dat of version {TerminalText.Escape(version)}; make one of version 7 of it: trace-cmd convert --file-version 7 -i OLD -o NEW");
        }
        Span<byte> machine = stackalloc byte[6];
        _file.ReadExactly(machine);
        if (machine[0] != 0)
        {
            throw Refuse("is of a big-endian machine");
        }
        // Name and version of the compression: options are never compressed.
        ReadText();
        ReadText();
        Span<byte> place = stackalloc byte[8];
        _file.ReadExactly(place);
        return BinaryPrimitives.ReadInt64LittleEndian(place);
    }

    private void ReadOptions(long place)
    {
        Span<byte> head = stackalloc byte[SectionHeadBytes];
        for (int section = 0; place != 0; section++)
        {
            if (place < 0 || section == MostSections)
            {
                throw Refuse("has options that lead nowhere");
            }
            _file.Position = place;
            _file.ReadExactly(head);
            ulong size = BinaryPrimitives.ReadUInt64LittleEndian(head[8..]);
            if (BinaryPrimitives.ReadUInt16LittleEndian(head[2..]) != 0 || size > MostOptionsBytes || size > (ulong)(_file.Length - _file.Position))
            {
                throw Refuse("has options that cannot be read");
            }
            byte[] options = new byte[size];
            _file.ReadExactly(options);
            place = TakeSection(options);
        }
    }

    /// <returns>Where more options are, or 0.</returns>
    private long TakeSection(ReadOnlySpan<byte> options)
    {
        while (options.Length >= OptionHeadBytes)
        {
            ushort id = BinaryPrimitives.ReadUInt16LittleEndian(options);
            uint size = BinaryPrimitives.ReadUInt32LittleEndian(options[2..]);
            options = options[OptionHeadBytes..];
            if (size > (uint)options.Length)
            {
                throw Refuse("has an option that is longer than all of them");
            }
            ReadOnlySpan<byte> data = options[..(int)size];
            options = options[(int)size..];
            switch (id)
            {
                case OptionDone:
                    return data.Length >= sizeof(long) ? BinaryPrimitives.ReadInt64LittleEndian(data) : 0;
                case OptionTraceId when data.Length >= sizeof(ulong):
                    _id = BinaryPrimitives.ReadUInt64LittleEndian(data);
                    break;
                case OptionBuffer when data.Length > sizeof(ulong):
                    // Place, name, clock; the first one is the top buffer.
                    ReadOnlySpan<byte> texts = data[sizeof(ulong)..];
                    _clock ??= TextOf(texts[(texts.IndexOf((byte)0) + 1)..]);
                    break;
                case OptionDate or OptionOffset:
                    throw Refuse("shifts its time stamps itself (--date or --ts-offset); record it without");
            }
        }
        return 0;
    }

    private void Check()
    {
        if (_id is null)
        {
            throw Refuse("has no trace id to refer to; trace-cmd 2.9 and later write one");
        }
        if (_clock != WantedClock)
        {
            throw Refuse($"is on clock {TerminalText.Escape(_clock ?? "unknown")}, of which nothing relates it to the guest's; record it with trace-cmd record -C {WantedClock}");
        }
    }

    private string ReadText()
    {
        const int Longest = 64;
        StringBuilder text = new();
        for (int next; (next = _file.ReadByte()) != 0;)
        {
            if (next < 0 || text.Length == Longest)
            {
                throw Refuse("is no trace.dat");
            }
            text.Append((char)next);
        }
        return text.ToString();
    }

    private static string TextOf(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
    }

    private CommandFailure Refuse(string why) => new(ExitCode.Failed, $"{_path} {why}");
}
