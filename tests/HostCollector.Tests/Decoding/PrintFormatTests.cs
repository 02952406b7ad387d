using System.Buffers.Binary;
using System.Text;
using VsockPair.Decoding;
using VsockPair.Tracing;

namespace VsockPair.HostCollector.Tests.Decoding;

/// <summary>What a print format makes of an event. Each expectation is what trace-cmd 3.1.6 prints, unless a comment says otherwise.</summary>
public sealed class PrintFormatTests
{
    private const int Id = 900;

    private const string Fields =
        """
        name: sample
        ID: 900
        format:
        	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
        	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
        	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
        	field:int common_pid;	offset:4;	size:4;	signed:1;

        	field:u32 number;	offset:8;	size:4;	signed:0;
        	field:int negative;	offset:12;	size:4;	signed:1;
        	field:unsigned long address;	offset:16;	size:8;	signed:0;
        	field:char comm[8];	offset:24;	size:8;	signed:0;
        	field:u8 mac[6];	offset:32;	size:6;	signed:0;
        	field:__u8 ip[4];	offset:38;	size:4;	signed:0;
        	field:__u8 ip6[16];	offset:42;	size:16;	signed:0;
        	field:__data_loc char[] text;	offset:60;	size:4;	signed:0;
        	field:__rel_loc u8[] bytes;	offset:64;	size:4;	signed:0;

        print fmt:
        """;

    [Theory]
    [InlineData("\"%d %u %x %#X %o\", REC->number, REC->number, REC->number, REC->number, REC->number", "1000 1000 3e8 0X3E8 1750")]
    [InlineData("\"%d %u %hd %hhu %ld\", REC->negative, REC->negative, REC->negative, REC->negative, REC->negative", "-5 4294967291 -5 251 4294967291")]
    [InlineData("\"[%6d] [%-6d] [%06d] [%+d] [%.6d] [%8.4x]\", 42, 42, 42, 42, 42, 42", "[    42] [42    ] [000042] [+42] [000042] [    002a]")]
    [InlineData("\"[%*d] [%.*s]\", 5, 7, 2, \"abc\"", "[    7] [ab]")]
    [InlineData("\"[%s] [%10s] [%-10s] [%.2s]\", REC->comm, REC->comm, REC->comm, REC->comm", "[init] [      init] [init      ] [in]")]
    [InlineData("\"%s|%s\", __get_str(text), __get_rel_str(bytes)", "dynamic text|\x01\x02\x03")]
    [InlineData("\"100%% \\\"quoted\\\"\\ttab\"", "100% \"quoted\"\ttab")]
    [InlineData("\"two \"  \"parts %d\", 1", "two parts 1")]
    [InlineData("\"%s\", REC->number ? \"yes\" : \"no\"", "yes")]
    [InlineData("\"%d %d\", REC->number > 999 && !(REC->number & 1), (REC->number << 2) + 3 * 4", "1 4012")]
    [InlineData("\"%d\", ((u8) REC->number)", "232")]
    [InlineData("\"%s\", __print_flags(REC->number, \"|\", { 8, \"EIGHT\" }, { 1UL << 5, \"BIT5\" }, { 0x40, \"X\" })", "EIGHT|BIT5|X|0x380")]
    [InlineData("\"%s\", __print_flags(REC->number - 1000, \"|\", { 1, \"one\" }, { -1, \"none\" })", "none")]
    [InlineData("\"%s %s\", __print_symbolic(REC->number, { 999, \"no\" }, { 1000, \"yes\" }), __print_symbolic(7, { 1, \"one\" })", "yes 0x7")]
    [InlineData("\"%s %s\", __print_hex(REC->mac, 3), __print_hex_str(__get_dynamic_array(bytes), __get_dynamic_array_len(bytes))", "00 11 22 010203")]
    [InlineData("\"%s\", __print_array(REC->ip, 4, 1)", "192 168 0 1")]
    [InlineData("\"%d %d\", REC->mac[5], REC->ip[1]", "85 168")]
    [InlineData("\"%pM %pMF %pmR\", REC->mac, REC->mac, REC->mac", "00:11:22:33:44:55 00-11-22-33-44-55 554433221100")]
    [InlineData("\"%pI4 %pi4\", REC->ip, REC->ip", "192.168.0.1 192.168.000.001")]
    [InlineData("\"%pI6c %pI6\", REC->ip6, REC->ip6", "fe80::1:0:2 fe80:0000:0000:0000:0000:0001:0000:0002")]
    [InlineData("\"%*phC %*phN\", 2, __get_dynamic_array(bytes), 9, __get_dynamic_array(bytes)", "01:02 010203")]
    [InlineData("\"%pS %ps\", (void *)REC->address, (void *)REC->address", "do_it+0x10 do_it")]
    [InlineData("\"%p %p\", REC->address, 0", "0xffffffff81000110 (nil)")]
    [InlineData("\"%s\", REC->address", "ffffffff81000110")]
    [InlineData("\"%d\", sizeof(REC->comm) + sizeof(unsigned long) + sizeof(int)", "20")]
    [InlineData("\"%llu.%03llu\", __print_ns_to_secs(1234567890123), __print_ns_without_secs(1234567890123)", "1234.567890123")]
    [InlineData("\"%u\", HRTIMER_BASE", "0")]
    [InlineData("\"%c\", 'A'", "A")]
    [InlineData("\"no field %y here\"", "no field >y< here")]
    public void Prints(string printFormat, string expected) => Assert.Equal(expected, Print(printFormat));

    /// <summary>C would say 4 and 8; libtraceevent groups from the right and forgets brackets after an operator that binds tighter.</summary>
    [Theory]
    [InlineData("\"%d\", 10 - 4 - 2", "8")]
    [InlineData("\"%d\", 8 & (1 | 8)", "8")]
    [InlineData("\"%d\", 2 & (1 | 8)", "8")]
    public void Groups_operators_as_trace_cmd_does(string printFormat, string expected) => Assert.Equal(expected, Print(printFormat));

    /// <summary>Bytes count as text up to the first zero: trace-cmd shows no MAC address that begins with one.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("no text")]
    [InlineData("\"%d\"")]
    [InlineData("\"%d\", REC->nothing")]
    [InlineData("\"%d\", unknown_function(1)")]
    [InlineData("\"%d\", &REC->number")]
    [InlineData("\"%d\", (1")]
    [InlineData("\"%d\", 1 +")]
    [InlineData("\"unclosed")]
    [InlineData("\"%s\", __print_flags(1, \"|\", { 1 \"x\" })")]
    [InlineData("\"%d\", 1 2; 3")]
    public void Shows_the_fields_of_what_it_does_not_understand(string printFormat)
    {
        Assert.Equal(
            "[FAILED TO PARSE] number=1000 negative=-5 address=0xffffffff81000110 comm=init mac= ip=ARRAY[c0, a8, 00, 01]"
            + " ip6=ARRAY[fe, 80, 00, 00, 00, 00, 00, 00, 00, 00, 00, 01, 00, 00, 00, 02] text=dynamic text bytes=ARRAY[01, 02, 03]",
            Print(printFormat));
    }

    [Theory]
    [InlineData("(", ")")]
    [InlineData("-", "")]
    [InlineData("1 + ", "")]
    [InlineData("1 ? ", " : 2")]
    [InlineData("1 ? 2 : ", "")]
    [InlineData("(u8)", "")]
    [InlineData("__print_hex_str(", ", 1)")]
    public void Refuses_what_is_nested_too_deep(string before, string after)
    {
        string deep = string.Concat(Enumerable.Repeat(before, 2500)) + "1" + string.Concat(Enumerable.Repeat(after, 2500));
        Assert.StartsWith("[FAILED TO PARSE]", Print($"\"%d\", {deep}"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"%999999999d\", 1")]
    [InlineData("\"%.999999999d\", 1")]
    [InlineData("\"%*d\", 999999999, 1")]
    [InlineData("\"%*d\", -2147483648, 1")]
    [InlineData("\"%.*d\", 999999999, 1")]
    [InlineData("\"%s\", __print_array(REC->ip, 0xFFFFFFFFFFFFFFFF, 1)")]
    [InlineData("\"%s\", __print_hex(REC->ip6, 0xFFFFFFFF)")]
    [InlineData("\"%*ph\", 0x7FFFFFFF, __get_dynamic_array(bytes)")]
    public void Makes_no_more_text_than_an_event_can_be_worth(string printFormat) => Assert.InRange(Print(printFormat).Length, 0, 1100);

    [Fact]
    public void Text_has_a_limit()
    {
        string format = "\"" + string.Concat(Enumerable.Repeat("%1024d", 1000)) + "\"" + string.Concat(Enumerable.Repeat(", 1", 1000));
        string text = Print(format);
        Assert.InRange(text.Length, 8192, 10_000);
        Assert.EndsWith(" ...", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Constant_strings_come_from_printk_formats()
    {
        Assert.Equal("a constant", Print("\"%s\", REC->address", "0xffffffff81000110 : \"a constant\\n\"\n"));
    }

    [Theory]
    [InlineData("%d %s %llx\\n", "7 text 1122334455667788")]
    [InlineData("%d %.2s|%x %hu", "7 te|55667788 13124")]
    public void Binary_printk_takes_its_arguments_from_the_buffer(string constant, string expected)
    {
        const string format =
            """
            name: bprint
            ID: 6
            format:
            	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
            	field:int common_pid;	offset:4;	size:4;	signed:1;

            	field:unsigned long ip;	offset:8;	size:8;	signed:0;
            	field:const char * fmt;	offset:16;	size:8;	signed:0;
            	field:u32 buf[];	offset:24;	size:0;	signed:0;

            print fmt: "%ps: %s", (void *)REC->ip, REC->fmt
            """;
        byte[] payload = [6, 0, 0, 0, 0, 0, 0, 0, .. BitConverter.GetBytes(0xffffffff81000100), .. BitConverter.GetBytes(0xffffffff82000000),
            7, 0, 0, 0, (byte)'t', (byte)'e', (byte)'x', (byte)'t', 0, 0, 0, 0, .. BitConverter.GetBytes(0x1122334455667788)];
        EventCatalog catalog = new(
            ["events/ftrace/bprint/format", "printk_formats", "kallsyms-boot"],
            name => Encoding.Latin1.GetBytes(name switch
            {
                "printk_formats" => $"0xffffffff82000000 : \"{constant}\"\n",
                "kallsyms-boot" => Symbols,
                _ => format,
            }));
        TextLine line = new();
        new EventText(catalog).AppendFields(line, 0, new RingEvent { TimeStamp = 0, Payload = payload }, default);
        Assert.Equal("do_it: " + expected, line.ToString());
    }

    private const string Symbols = "ffffffff81000000 _text\nffffffff81000100 t do_it\nffffffff81000200 t next\nffffffff81000300 t last\n";

    private static string Print(string printFormat, string printkFormats = "")
    {
        TextLine line = new();
        Append(line, printFormat, printkFormats);
        return Encoding.Latin1.GetString(line.Bytes);
    }

    private static void Append(TextLine line, string printFormat, string printkFormats = "")
    {
        EventCatalog catalog = new(
            ["events/test/sample/format", "printk_formats", "kallsyms-boot"],
            name => Encoding.Latin1.GetBytes(name switch { "printk_formats" => printkFormats, "kallsyms-boot" => Symbols, _ => Fields + " " + printFormat + "\n" }));
        Assert.Empty(catalog.Faults);
        new EventText(catalog).AppendFields(line, 0, new RingEvent { TimeStamp = 0, Payload = Payload() }, default);
    }

    private static byte[] Payload()
    {
        byte[] payload = new byte[88];
        BinaryPrimitives.WriteUInt16LittleEndian(payload, Id);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(8), 1000);
        BinaryPrimitives.WriteInt32LittleEndian(payload.AsSpan(12), -5);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(16), 0xffffffff81000110);
        "init"u8.CopyTo(payload.AsSpan(24));
        new byte[] { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 192, 168, 0, 1, 0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2 }.CopyTo(payload, 32);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(60), 13u << 16 | 68);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(64), 3u << 16 | 84 - 68);
        "dynamic text"u8.CopyTo(payload.AsSpan(68));
        new byte[] { 1, 2, 3 }.CopyTo(payload, 84);
        return payload;
    }
}
