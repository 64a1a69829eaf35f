using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Security.Cryptography;
using System.Text;

namespace Warifu.App.Vici;

/// <summary>A VICI message or a section of one: values, lists and sections in their order. Names may be empty and, in what a peer sends, may repeat.</summary>
internal sealed class ViciMessage
{
    /// <summary>Largest frame.</summary>
    public const int MaxLength = 512 * 1024;

    private const byte SectionStart = 1, SectionEnd = 2, KeyValue = 3, ListStart = 4, ListItem = 5, ListEnd = 6;
    private const int MaxDepth = 32;

    private readonly List<ViciElement> _elements = [];

    public IReadOnlyList<ViciElement> Elements => _elements;

    public bool IsEmpty => _elements.Count == 0;

    public ViciMessage Add(string key, string value) => Add(key, Encoding.UTF8.GetBytes(value));

    public ViciMessage Add(string key, byte[] value)
    {
        _elements.Add(new ViciElement(key, value, null, null));
        return this;
    }

    public ViciMessage Add(string key, long value) => Add(key, value.ToString(CultureInfo.InvariantCulture));

    public ViciMessage Add(string key, ulong value) => Add(key, value.ToString(CultureInfo.InvariantCulture));

    /// <summary>"yes" when true, nothing when false: the form in which the daemon answers.</summary>
    public ViciMessage Flag(string key, bool value) => value ? Add(key, "yes") : this;

    public ViciMessage Add(string key, IEnumerable<string> items) => AddList(key, items.Select(Encoding.UTF8.GetBytes));

    public ViciMessage AddList(string key, IEnumerable<byte[]> items)
    {
        _elements.Add(new ViciElement(key, null, [.. items], null));
        return this;
    }

    public ViciMessage Add(ViciElement element)
    {
        _elements.Add(element);
        return this;
    }

    public ViciMessage Add(string name, ViciMessage section)
    {
        _elements.Add(new ViciElement(name, null, null, section));
        return this;
    }

    /// <summary>The value of a key as text; null when it is not there.</summary>
    public string? Text(string key) => Find(key)?.Value is { } value ? Encoding.UTF8.GetString(value) : null;

    public ViciMessage? Section(string name) => Find(name)?.Section;

    public IEnumerable<string> Items(string name) => Find(name)?.Items?.Select(Encoding.UTF8.GetString) ?? [];

    public ViciElement? Find(string name)
    {
        foreach (var element in _elements)
        {
            if (element.Name == name) return element;
        }

        return null;
    }

    /// <summary>Booleans as the daemon reads them: yes, true, enabled, 1; an empty or strange value is the default.</summary>
    public bool Bool(string key, bool fallback = false) => Text(key)?.ToLowerInvariant() switch { "1" or "yes" or "true" or "enabled" => true, "0" or "no" or "false" or "disabled" => false, _ => fallback };

    public long Number(string key, long fallback) => long.TryParse(Text(key), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value : fallback;

    /// <summary>Zeroes every value: a request may hold secrets.</summary>
    public void Erase()
    {
        foreach (var element in _elements)
        {
            if (element.Value is { } value) CryptographicOperations.ZeroMemory(value);
            if (element.Items is { } items) items.ForEach(item => CryptographicOperations.ZeroMemory(item));
            element.Section?.Erase();
        }
    }

    /// <summary>The octets. What does not fit is cut: names after 255 octets, values after 65535.</summary>
    public byte[] Encode()
    {
        var octets = new List<byte>(256);
        Encode(octets);
        return [.. octets];
    }

    /// <summary>Reads a message. False when it is malformed or too deep; never throws.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> octets, out ViciMessage message)
    {
        message = new ViciMessage();
        var open = new Stack<ViciMessage>();
        open.Push(message);
        List<byte[]>? list = null;
        while (!octets.IsEmpty)
        {
            var kind = octets[0];
            octets = octets[1..];
            if (list is not null && kind is not (ListItem or ListEnd)) return false;
            switch (kind)
            {
                case SectionStart:
                    if (open.Count >= MaxDepth || !TryName(ref octets, out var name)) return false;
                    var section = new ViciMessage();
                    open.Peek().Add(name, section);
                    open.Push(section);
                    break;
                case SectionEnd:
                    if (open.Count == 1) return false;
                    open.Pop();
                    break;
                case KeyValue:
                    if (!TryName(ref octets, out var key) || !TryValue(ref octets, out var value)) return false;
                    open.Peek().Add(key, value);
                    break;
                case ListStart:
                    if (!TryName(ref octets, out var listName)) return false;
                    list = [];
                    open.Peek()._elements.Add(new ViciElement(listName, null, list, null));
                    break;
                case ListItem:
                    if (list is null || !TryValue(ref octets, out var item)) return false;
                    list.Add(item);
                    break;
                case ListEnd:
                    if (list is null) return false;
                    list = null;
                    break;
                default:
                    return false;
            }
        }

        return open.Count == 1 && list is null;
    }

    private void Encode(List<byte> octets)
    {
        foreach (var element in _elements)
        {
            if (element.Section is { } section)
            {
                octets.Add(SectionStart);
                AddName(octets, element.Name);
                section.Encode(octets);
                octets.Add(SectionEnd);
            }
            else if (element.Items is { } items)
            {
                octets.Add(ListStart);
                AddName(octets, element.Name);
                foreach (var item in items)
                {
                    octets.Add(ListItem);
                    AddValue(octets, item);
                }

                octets.Add(ListEnd);
            }
            else
            {
                octets.Add(KeyValue);
                AddName(octets, element.Name);
                AddValue(octets, element.Value!);
            }
        }
    }

    private static void AddName(List<byte> octets, string name)
    {
        var encoded = Encoding.UTF8.GetBytes(name).AsSpan();
        if (encoded.Length > byte.MaxValue) encoded = encoded[..byte.MaxValue];
        octets.Add((byte)encoded.Length);
        octets.AddRange(encoded);
    }

    private static void AddValue(List<byte> octets, ReadOnlySpan<byte> value)
    {
        if (value.Length > ushort.MaxValue) value = value[..ushort.MaxValue];
        octets.Add((byte)(value.Length >> 8));
        octets.Add((byte)value.Length);
        octets.AddRange(value);
    }

    private static bool TryName(ref ReadOnlySpan<byte> octets, out string name)
    {
        name = "";
        if (octets.IsEmpty || octets.Length < 1 + octets[0]) return false;
        name = Encoding.UTF8.GetString(octets.Slice(1, octets[0]));
        octets = octets[(1 + octets[0])..];
        return true;
    }

    private static bool TryValue(ref ReadOnlySpan<byte> octets, out byte[] value)
    {
        value = [];
        if (octets.Length < 2) return false;
        var length = BinaryPrimitives.ReadUInt16BigEndian(octets);
        if (octets.Length < 2 + length) return false;
        value = octets.Slice(2, length).ToArray();
        octets = octets[(2 + length)..];
        return true;
    }
}

/// <summary>A value, a list or a section, and its name: exactly one of the three is there.</summary>
internal sealed record ViciElement(string Name, byte[]? Value, List<byte[]>? Items, ViciMessage? Section);
