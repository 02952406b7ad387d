using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace VsockPair.Decoding;

/// <summary>
/// <c>events/SYSTEM/EVENT/format</c>: the layout of one event, and how the kernel would print it. The text is the guest's: it is read as Latin-1, so
/// that every byte of it comes out again as it was, and never trusted.
/// </summary>
public sealed class EventFormat
{
    private const int MaxFields = 512;

    /// <summary>Of systems, events and fields. The kernel lets nobody define one of more than 64; a name is printed with each event.</summary>
    public const int MaxNameChars = 128;

    private EventFormat(string system, string name, int id, FieldFormat[] fields, string printFormat)
    {
        System = system;
        Name = name;
        Id = id;
        Fields = fields;
        PrintFormat = printFormat;
    }

    /// <summary>The <c>common_type</c> of its events. Given by the kernel that runs: another boot may number them otherwise.</summary>
    public int Id { get; }

    public string System { get; }

    public string Name { get; }

    /// <summary>In the order of the file: <c>common_…</c> first.</summary>
    public IReadOnlyList<FieldFormat> Fields { get; }

    /// <summary>What follows <c>print fmt:</c>, as it stands there; empty when the file has none.</summary>
    public string PrintFormat { get; }

    public FieldFormat? Find(string name)
    {
        foreach (FieldFormat field in Fields)
        {
            if (field.Name == name)
            {
                return field;
            }
        }
        return null;
    }

    public static bool TryParse(string system, ReadOnlySpan<byte> text, [NotNullWhen(true)] out EventFormat? format)
    {
        string? name = null;
        int? id = null;
        string printFormat = "";
        List<FieldFormat> fields = [];
        format = null;
        string lines = Encoding.Latin1.GetString(text);
        int at = 0;
        while (at < lines.Length)
        {
            int end = lines.IndexOf('\n', at);
            string line = lines[at..(end < 0 ? lines.Length : end)];
            if (line.StartsWith("print fmt:", StringComparison.Ordinal))
            {
                // The rest of the file: a few formats go over several lines.
                printFormat = lines[(at + "print fmt:".Length)..].Trim();
                break;
            }
            at += line.Length + 1;
            ReadOnlySpan<char> trimmed = line.AsSpan().Trim();
            if (trimmed.StartsWith("name:", StringComparison.Ordinal))
            {
                name = trimmed["name:".Length..].Trim().ToString();
            }
            else if (trimmed.StartsWith("ID:", StringComparison.Ordinal))
            {
                id = int.TryParse(trimmed["ID:".Length..], NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture, out int value) ? value : null;
            }
            else if (trimmed.StartsWith("field", StringComparison.Ordinal))
            {
                if (fields.Count == MaxFields || FieldLine.TryParse(trimmed) is not { } field)
                {
                    return false;
                }
                fields.Add(field);
            }
        }
        if (string.IsNullOrEmpty(name) || name.Length > MaxNameChars || system.Length > MaxNameChars || id is null or < 1 or > ushort.MaxValue)
        {
            return false;
        }
        format = new EventFormat(system, name, id.Value, [.. fields], printFormat);
        return true;
    }
}
