using System.Diagnostics.CodeAnalysis;

namespace VsockPair.Watch;

/// <summary>
/// Reads XML as libvirt writes it, forward only: elements with their path and attributes, and text. Entities other than the five are not known and a DTD is refused, so nothing
/// grows. System.Xml does the same for 3.5 MB more of program.
/// </summary>
internal ref struct XmlTags(string text)
{
    private const int MostDepth = 64;

    private readonly List<string> _open = [];
    private int _at;
    private bool _isEmpty;
    private ReadOnlySpan<char> _attributes;

    /// <summary>Names from the root on, joined by <c>/</c>, of the element that was read or that holds <see cref="Text"/>.</summary>
    public string Path { get; private set; } = "";

    /// <summary>Between tags, trimmed, as it is written; null when an element begins.</summary>
    public string? Text { get; private set; }

    /// <returns>False at the end of the root.</returns>
    /// <exception cref="FormatException">It is no such XML.</exception>
    public bool Read()
    {
        while (true)
        {
            if (_isEmpty)
            {
                _isEmpty = false;
                _open.RemoveAt(_open.Count - 1);
            }
            int tag = text.IndexOf('<', _at);
            if (tag < 0)
            {
                return _open.Count == 0 && Path.Length > 0 ? false : throw new FormatException(_open.Count == 0 ? "it has no element" : $"<{_open[^1]}> does not end");
            }
            string between = text[_at..tag].Trim();
            if (between.Length > 0 && _open.Count > 0)
            {
                _at = tag;
                (Path, Text) = (string.Join('/', _open), between);
                return true;
            }
            if (TrySkip(tag, "<!--", "-->") || TrySkip(tag, "<?", "?>") || TrySkip(tag, "<![CDATA[", "]]>"))
            {
                continue;
            }
            int end = EndOf(tag);
            ReadOnlySpan<char> inside = text.AsSpan(tag + 1, end - tag - 1);
            _at = end + 1;
            if (inside.StartsWith('/'))
            {
                if (_open.Count == 0 || !inside[1..].TrimEnd().SequenceEqual(_open[^1]))
                {
                    throw new FormatException($"</{inside[1..]}> ends nothing");
                }
                _open.RemoveAt(_open.Count - 1);
                continue;
            }
            Begin(inside);
            return true;
        }
    }

    /// <summary>Of the element that was read; the value is as written, which is itself where nothing needs escaping.</summary>
    public readonly bool TryGetAttribute(string name, [NotNullWhen(true)] out string? value)
    {
        ReadOnlySpan<char> rest = _attributes.Trim();
        while (!rest.IsEmpty)
        {
            int equals = rest.IndexOf('=');
            int quote = equals < 0 ? -1 : equals + 1 + rest[(equals + 1)..].IndexOfAny('\'', '"');
            int length = quote <= equals ? -1 : rest[(quote + 1)..].IndexOf(rest[quote]);
            if (length < 0)
            {
                break;
            }
            if (rest[..equals].Trim().SequenceEqual(name))
            {
                value = rest.Slice(quote + 1, length).ToString();
                return true;
            }
            rest = rest[(quote + length + 2)..].TrimStart();
        }
        value = null;
        return false;
    }

    private void Begin(ReadOnlySpan<char> inside)
    {
        _isEmpty = inside.EndsWith('/');
        inside = _isEmpty ? inside[..^1] : inside;
        int name = inside.IndexOfAny(" \t\r\n") is int space and >= 0 ? space : inside.Length;
        if (name == 0 || inside[0] == '!' || _open.Count == MostDepth)
        {
            throw new FormatException($"<{inside[..Math.Min(inside.Length, 16)]} is not expected in it");
        }
        _open.Add(inside[..name].ToString());
        _attributes = inside[name..];
        (Path, Text) = (string.Join('/', _open), null);
    }

    private bool TrySkip(int tag, string begin, string end)
    {
        if (string.CompareOrdinal(text, tag, begin, 0, begin.Length) != 0)
        {
            return false;
        }
        int last = text.IndexOf(end, tag + begin.Length, StringComparison.Ordinal);
        _at = last < 0 ? throw new FormatException($"{begin} does not end") : last + end.Length;
        return true;
    }

    /// <summary>A <c>&gt;</c> within quotes ends nothing.</summary>
    private readonly int EndOf(int tag)
    {
        char quote = '\0';
        for (int i = tag + 1; i < text.Length; i++)
        {
            char c = text[i];
            if (quote != '\0')
            {
                quote = c == quote ? '\0' : quote;
            }
            else if (c == '>')
            {
                return i;
            }
            else if (c is '\'' or '"')
            {
                quote = c;
            }
        }
        throw new FormatException("a tag does not end");
    }
}
