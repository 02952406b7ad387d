using System.Globalization;
using System.Text;
using VsockPair.Decoding;

namespace VsockPair.HostCollector.Tests.Decoding;

public sealed class CatalogTests
{
    [Theory]
    [InlineData("field:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;", "common_type", "unsigned short", 0, 2, false, false, 2)]
    [InlineData("field:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;", "prev_comm", "char", 8, 16, false, true, 1)]
    [InlineData("field:unsigned long args[6];\toffset:16;\tsize:48;\tsigned:0;", "args", "unsigned long", 16, 48, false, true, 8)]
    [InlineData("field:const char * fn;\toffset:8;\tsize:8;\tsigned:0;", "fn", "const char *", 8, 8, false, false, 8)]
    [InlineData("field:struct foo *p;\toffset:8;\tsize:8;\tsigned:1;", "p", "struct foo *", 8, 8, true, false, 8)]
    [InlineData("field:char buf[];\toffset:16;\tsize:0;\tsigned:0;", "buf", "char", 16, 0, false, true, 1)]
    [InlineData("field:__data_loc u32[] list;\toffset:8;\tsize:4;\tsigned:0;", "list", "u32", 8, 4, false, true, 4)]
    [InlineData("field special:int old;\toffset:8;\tsize:4;", "old", "int", 8, 4, false, false, 4)]
    public void Reads_a_field(string line, string name, string type, int offset, int size, bool isSigned, bool isArray, int elementSize)
    {
        FieldFormat field = FieldLine.TryParse(line)!;
        Assert.Equal((name, type, offset, size, isSigned, isArray, elementSize), (field.Name, field.Type, field.Offset, field.Size, field.IsSigned, field.IsArray, field.ElementSize));
    }

    [Theory]
    [InlineData("")]
    [InlineData("field:int a;\toffset:-1;\tsize:4;")]
    [InlineData("field:int a;\toffset:99999999999;\tsize:4;")]
    [InlineData("field:int a;\toffset:4;")]
    [InlineData("field:;\toffset:4;\tsize:4;")]
    [InlineData("field:int a];[\toffset:4;\tsize:4;")]
    public void Refuses_a_field_that_cannot_be(string line) => Assert.Null(FieldLine.TryParse(line));

    [Fact]
    public void New_names_of_threads_cost_no_look_at_anything_else()
    {
        Dictionary<string, byte[]> files = new()
        {
            ["events/demo/tick/format"] = "name: tick\nID: 300\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\nprint fmt: \"x\"\n"u8.ToArray(),
            ["saved_cmdlines"] = "1 init\n"u8.ToArray(),
        };
        EventCatalog first = new(files.Keys, files.GetValueOrDefault);
        List<string> read = [];
        EventCatalog second = first.WithThreads(name =>
        {
            read.Add(name);
            return name == "saved_cmdlines" ? "2 cron\n"u8.ToArray() : null;
        });
        Assert.All(read, name => Assert.True(EventCatalog.IsOfThreads(name)));
        Assert.Same(first.Find(300), second.Find(300));
        Assert.Equal(("init", "cron"), (Encoding.ASCII.GetString(first.CommandLines.Find(1)), Encoding.ASCII.GetString(second.CommandLines.Find(2))));
    }

    [Fact]
    public void Reads_fields_wherever_the_event_says_they_are()
    {
        byte[] payload = [0, 0, 0, 0, 0xFE, 0xFF, 0, 0, 16, 0, 3, 0, 4, 0, 2, 0, (byte)'a', (byte)'b', 0, 1, 2, 3, 4];
        Assert.Equal(-2, FieldLine.TryParse("field:s16 a; offset:4; size:2; signed:1;")!.Number(payload));
        Assert.Equal(0xFFFE, FieldLine.TryParse("field:u16 a; offset:4; size:2; signed:0;")!.Number(payload));
        Assert.Equal("ab"u8, FieldLine.TryParse("field:__data_loc char[] a; offset:8; size:4; signed:0;")!.Text(payload));
        Assert.Equal([4, 0], FieldLine.TryParse("field:__rel_loc u8[] a; offset:8; size:4; signed:0;")!.Bytes([.. payload[..8], 0, 0, 2, 0, 4, 0]).ToArray());
        Assert.Equal(0, FieldLine.TryParse("field:u64 a; offset:16; size:8; signed:0;")!.Number(payload));
        Assert.True(FieldLine.TryParse("field:__data_loc char[] a; offset:4; size:4; signed:0;")!.Bytes(payload).IsEmpty);
        Assert.True(FieldLine.TryParse("field:__data_loc char[] a; offset:21; size:4; signed:0;")!.Bytes(payload).IsEmpty);
    }

    [Fact]
    public void Names_what_it_could_not_use()
    {
        Dictionary<string, string> files = new()
        {
            ["events/a/good/format"] = "name: good\nID: 5\nformat:\n\tfield:int x;\toffset:8;\tsize:4;\tsigned:1;\n\nprint fmt: \"%d\", REC->x\n",
            ["events/a/twin/format"] = "name: twin\nID: 5\nformat:\n\nprint fmt: \"\"\n",
            ["events/a/noid/format"] = "name: noid\nformat:\n",
            ["events/a/high/format"] = "name: high\nID: 65536\nformat:\n",
        };
        EventCatalog catalog = new(files.Keys, name => Encoding.ASCII.GetBytes(files[name]));
        Assert.Equal("good", Assert.Single(catalog.Formats).Name);
        Assert.Equal(["events/a/high/format", "events/a/noid/format", "events/a/twin/format"], catalog.Faults);
        Assert.Same(catalog.Find(5), catalog.Find("a", "good"));
        Assert.Null(catalog.HeaderPage);
    }

    [Fact]
    public void Finds_symbols_of_the_kernel_and_of_its_modules()
    {
        KernelSymbols symbols = KernelSymbols.Parse(
            "0000000000000000 A fixed_percpu\n+0 T _text\n+100 T first\n+100 T alias\n+200 t second\n+300 A absolute\n"u8.ToArray(),
            "ffffffff81000000 _text\nffffffffc0000000 t of_module\t[mod]\nffffffffc0000100 t last\t[mod]\n"u8.ToArray());
        Assert.Equal(0xffffffff81000000, symbols.TextAddress);
        Assert.Equal(6, symbols.Count);
        Assert.True(symbols.TryFind(0xffffffff810001FF, out KernelSymbol symbol));
        // Of several names of a place the first in the file, when the address lies behind it.
        Assert.Equal("first"u8, symbol.Name);
        Assert.Equal(0xffffffff81000100, symbol.Address);
        Assert.True(symbol.Module.IsEmpty);
        Assert.True(symbols.TryFind(0xffffffffc0000010, out symbol));
        Assert.Equal("of_module"u8, symbol.Name);
        Assert.Equal("mod"u8, symbol.Module);
        Assert.True(symbols.TryFind(0xffffffffc0000100, out _));
        Assert.False(symbols.TryFind(0xffffffffc0000101, out _));
        Assert.False(symbols.TryFind(0x1000, out _));
        Assert.Equal(0xffffffff81000200, symbols.AddressOf("second"));
        Assert.Equal(0UL, symbols.AddressOf("secon"));
        Assert.Equal(0UL, symbols.AddressOf("absolute"));
        Assert.Equal(0xffffffffc0000000, symbols.AddressOf("of_module"));
    }

    [Fact]
    public void Symbols_without_a_place_are_left_out()
    {
        Assert.Equal(0, KernelSymbols.Parse("+0 T _text\n+100 T first\n"u8.ToArray(), []).Count);
    }

    [Fact]
    public void Threads_have_names_as_in_trace_cmd()
    {
        CommandLines names = new("12 with space\n13 x\n14\nnonsense\n"u8);
        Assert.Equal("with space"u8, names.Find(12));
        Assert.Equal("<idle>"u8, names.Find(0));
        Assert.Equal("<...>"u8, names.Find(14));
    }

    /// <summary>A name is printed with each event; numbers of threads are keys of tables.</summary>
    [Fact]
    public void Names_and_numbers_that_no_kernel_has_are_cut_or_left_out()
    {
        CommandLines names = new(Encoding.ASCII.GetBytes($"12 {new string('x', 4000)}\n4194304 last\n4194305 beyond\n-3 below\n"));
        Assert.Equal(64, names.Find(12).Length);
        Assert.Equal([12, 4194304], names.Names.Keys.Order());
        string longest = new('n', 128);
        foreach ((string system, string name, string field, bool isGood) in new[]
        {
            (longest, longest, longest, true), (longest + "s", "e", "f", false), ("s", longest + "e", "f", false), ("s", "e", longest + "f", false),
        })
        {
            Assert.Equal(isGood, EventFormat.TryParse(system, Encoding.ASCII.GetBytes($"name: {name}\nID: 5\nformat:\n\tfield:int {field};\toffset:8;\tsize:4;\tsigned:1;\n"), out _));
        }
    }

    /// <summary>The addresses are of the guest's choice: hashed, all of these would lie in one bucket.</summary>
    [Fact]
    public void Strings_are_found_by_address_however_many_there_are()
    {
        StringBuilder text = new();
        for (ulong i = 0; i < 100_000; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"0x{i << 32 | i:x} : \"text {i}\\n\"\n");
        }
        text.Append("0x500000005 : \"newer\"\nno line\n");
        System.Diagnostics.Stopwatch watch = System.Diagnostics.Stopwatch.StartNew();
        PrintkFormats strings = new(Encoding.ASCII.GetBytes(text.ToString()));
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(3));
        Assert.True(strings.TryFind(0x400000004, out byte[]? found));
        Assert.Equal("text 4"u8, found);
        Assert.True(strings.TryFind(0x500000005, out found));
        Assert.Equal("newer"u8, found);
        Assert.False(strings.TryFind(0x500000006, out _));
    }

    [Fact]
    public void Header_page_tells_the_layout()
    {
        HeaderPage? page = HeaderPage.TryParse(
            "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\tfield: char data;\toffset:16;\tsize:65520;\tsigned:1;\n"u8);
        Assert.Equal(new HeaderPage { CommitBytes = 8, DataOffset = 16, SubBufferBytes = 65536 }, page);
    }
}
